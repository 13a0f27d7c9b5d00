// What a user of the official Node SDK does, against a running node. Runs where the SDK is installed.
//
//     ENDPOINT=127.0.0.1:9000 ACCESS_KEY_ID=… ACCESS_KEY_SECRET=… node official.mjs
//
// Nothing but endpoint, protocol and credentials differs from a program for the cloud.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.env.SDK_HOME}/`));
const { default: Client, ...models } = require("@alicloud/fc20230330");
const { Config } = require("@alicloud/openapi-core").$OpenApiUtil;

const NAME = "nodesdk-echo";
// A zip with one index.py, stored: def handler(event, context): return event
const ZIP = process.env.ECHO_ZIP;
const OTHER_ZIP = process.env.OTHER_ZIP;

const client = new Client(
  new Config({
    accessKeyId: process.env.ACCESS_KEY_ID,
    accessKeySecret: process.env.ACCESS_KEY_SECRET,
    endpoint: process.env.ENDPOINT,
    protocol: "http",
  }),
);

async function refused(code, work) {
  await assert.rejects(work, (error) => {
    assert.equal(error.code, code, error.message);
    return true;
  });
}

async function text(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

async function said(qualifier) {
  const { Readable } = await import("node:stream");
  const request = new models.InvokeFunctionRequest({ body: Readable.from([Buffer.from("hello")]), qualifier });
  const answer = await client.invokeFunction(NAME, request);
  return [await text(answer.body), answer.headers["x-fc-invocation-service-version"]];
}

async function functions() {
  const code = new models.InputCodeLocation({ zipFile: ZIP });
  const body = new models.CreateFunctionInput({
    functionName: NAME,
    runtime: "python3.10",
    handler: "index.handler",
    memorySize: 512,
    cpu: 0.35,
    code,
  });
  const made = (await client.createFunction(new models.CreateFunctionRequest({ body }))).body;
  assert.equal(made.functionName, NAME);
  await refused("FunctionAlreadyExists", () => client.createFunction(new models.CreateFunctionRequest({ body })));
  const got = (await client.getFunction(NAME, new models.GetFunctionRequest({}))).body;
  assert.equal(got.codeChecksum, made.codeChecksum);
  const listed = (await client.listFunctions(new models.ListFunctionsRequest({ prefix: "nodesdk-" }))).body;
  assert.deepEqual(listed.functions.map((one) => one.functionName), [NAME]);
  assert.deepEqual(await said("LATEST"), ["hello", "LATEST"]);
  await refused("FunctionNotFound", () => client.getFunction("nodesdk-none", new models.GetFunctionRequest({})));
}

async function versions() {
  const publish = new models.PublishFunctionVersionRequest({ body: new models.PublishVersionInput({}) });
  assert.equal((await client.publishFunctionVersion(NAME, publish)).body.versionId, "1");
  await refused("VersionPublishError", () => client.publishFunctionVersion(NAME, publish));
  const code = new models.InputCodeLocation({ zipFile: OTHER_ZIP });
  const body = new models.UpdateFunctionInput({ code });
  await client.updateFunction(NAME, new models.UpdateFunctionRequest({ body }));
  assert.deepEqual([await said("1"), await said("LATEST")], [["hello", "1"], ["other", "LATEST"]]);
  const alias = new models.CreateAliasInput({ aliasName: "prod", versionId: "1" });
  const made = (await client.createAlias(NAME, new models.CreateAliasRequest({ body: alias }))).body;
  assert.equal(made.versionId, "1");
  assert.deepEqual(await said("prod"), ["hello", "1"]);
  const listed = (await client.listFunctionVersions(NAME, new models.ListFunctionVersionsRequest({}))).body;
  assert.deepEqual(listed.versions.map((one) => one.versionId), ["1"]);
  assert.equal((await client.getAlias(NAME, "prod")).body.aliasName, "prod");
  assert.equal((await client.listAliases(NAME, new models.ListAliasesRequest({}))).body.aliases.length, 1);
  const update = new models.UpdateAliasInput({ description: "live" });
  const changed = (await client.updateAlias(NAME, "prod", new models.UpdateAliasRequest({ body: update }))).body;
  assert.equal(changed.description, "live");
  await client.deleteAlias(NAME, "prod");
  await client.deleteFunctionVersion(NAME, "1");
  await refused("VersionNotFound", () => said("1"));
}

async function configs() {
  const concurrency = new models.PutConcurrencyInput({ reservedConcurrency: 3 });
  const put = new models.PutConcurrencyConfigRequest({ body: concurrency });
  assert.equal((await client.putConcurrencyConfig(NAME, put)).body.reservedConcurrency, 3);
  assert.equal((await client.getConcurrencyConfig(NAME)).body.reservedConcurrency, 3);
  await client.deleteConcurrencyConfig(NAME);
  const provision = new models.PutProvisionConfigInput({ target: 1 });
  const asked = new models.PutProvisionConfigRequest({ qualifier: "LATEST", body: provision });
  assert.equal((await client.putProvisionConfig(NAME, asked)).body.target, 1);
  const of = new models.GetProvisionConfigRequest({ qualifier: "LATEST" });
  assert.equal((await client.getProvisionConfig(NAME, of)).body.target, 1);
  const away = new models.DeleteProvisionConfigRequest({ qualifier: "LATEST" });
  await client.deleteProvisionConfig(NAME, away);
  const asynchronous = new models.PutAsyncInvokeConfigInput({ maxAsyncRetryAttempts: 2 });
  const request = new models.PutAsyncInvokeConfigRequest({ body: asynchronous });
  assert.equal((await client.putAsyncInvokeConfig(NAME, request)).body.maxAsyncRetryAttempts, 2);
  const config = (await client.getAsyncInvokeConfig(NAME, new models.GetAsyncInvokeConfigRequest({}))).body;
  assert.equal(config.maxAsyncRetryAttempts, 2);
  await client.deleteAsyncInvokeConfig(NAME, new models.DeleteAsyncInvokeConfigRequest({}));
}

async function around() {
  const arn = (await client.getFunction(NAME, new models.GetFunctionRequest({}))).body.functionArn;
  const tag = [new models.Tag({ key: "team", value: "red" })];
  const body = new models.TagResourcesInput({ resourceId: [arn], resourceType: "function", tag });
  await client.tagResources(new models.TagResourcesRequest({ body }));
  const asked = new models.ListTagResourcesRequest({ resourceId: [arn], resourceType: "function" });
  const found = (await client.listTagResources(asked)).body.tagResources;
  assert.deepEqual(found.map((one) => [one.tagKey, one.tagValue]), [["team", "red"]]);
  const off = new models.DisableFunctionInvocationRequest({ reason: "repair", abortOngoingRequest: true });
  assert.equal((await client.disableFunctionInvocation(NAME, off)).body.success, true);
  await refused("FunctionInvocationDisabled", () => said("LATEST"));
  await client.enableFunctionInvocation(NAME);
  assert.equal((await said("LATEST"))[0], "other");
  const code = new models.InputCodeLocation({ zipFile: ZIP });
  const given = new models.CreateLayerVersionInput({ code, compatibleRuntime: ["python3.10"] });
  const request = new models.CreateLayerVersionRequest({ body: given });
  const layer = (await client.createLayerVersion("nodesdk_layer", request)).body;
  const byArn = (await client.getLayerVersionByArn(layer.layerVersionArn)).body;
  assert.equal(byArn.codeChecksum, layer.codeChecksum);
  await client.deleteLayerVersion("nodesdk_layer", `${layer.version}`);
}

try {
  await functions();
  await versions();
  await configs();
  await around();
} finally {
  await client.deleteFunction(NAME);
}
