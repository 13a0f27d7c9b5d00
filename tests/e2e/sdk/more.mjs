// The operations that official.mjs does not reach: tasks, scaling, triggers, domains, lists of everything, code, regions.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Readable } from "node:stream";

const require = createRequire(pathToFileURL(`${process.env.SDK_HOME}/`));
const { default: Client, ...models } = require("@alicloud/fc20230330");
const { Config } = require("@alicloud/openapi-core").$OpenApiUtil;
const { RuntimeOptions } = require("@darabonba/typescript");

const NAME = "nodesdk-more";
const SITE = "nodesdk.example.com";
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

async function tasks() {
  const body = new models.PutAsyncInvokeConfigInput({ asyncTask: true });
  await client.putAsyncInvokeConfig(NAME, new models.PutAsyncInvokeConfigRequest({ body }));
  const all = (await client.listAsyncInvokeConfigs(new models.ListAsyncInvokeConfigsRequest({ functionName: NAME }))).body;
  assert.equal(all.configs.length, 1);
  const commonHeaders = { "x-fc-async-delay": "600" };
  const headers = new models.InvokeFunctionHeaders({ xFcInvocationType: "Async", xFcAsyncTaskId: "waits", commonHeaders });
  const request = new models.InvokeFunctionRequest({ body: Readable.from([Buffer.from("later")]) });
  const answer = await client.invokeFunctionWithOptions(NAME, request, headers, new RuntimeOptions({}));
  assert.equal(answer.statusCode, 202);
  const listed = (await client.listAsyncTasks(NAME, new models.ListAsyncTasksRequest({}))).body;
  assert.deepEqual(listed.tasks.map((one) => one.taskId), ["waits"]);
  await client.stopAsyncTask(NAME, "waits", new models.StopAsyncTaskRequest({}));
  assert.equal((await client.getAsyncTask(NAME, "waits", new models.GetAsyncTaskRequest({}))).body.status, "Stopped");
  await client.deleteAsyncInvokeConfig(NAME, new models.DeleteAsyncInvokeConfigRequest({}));
}

async function sizes() {
  const of = { qualifier: "LATEST" };
  const body = new models.PutScalingConfigInput({ minInstances: 1 });
  assert.equal((await client.putScalingConfig(NAME, new models.PutScalingConfigRequest({ ...of, body }))).body.minInstances, 1);
  assert.equal((await client.getScalingConfig(NAME, new models.GetScalingConfigRequest(of))).body.minInstances, 1);
  const scaled = (await client.listScalingConfigs(new models.ListScalingConfigsRequest({ functionName: NAME }))).body;
  assert.equal(scaled.scalingConfigs.length, 1);
  await refused("ResidentScalingConfigExists", () => client.deleteFunction(NAME));
  await client.deleteScalingConfig(NAME, new models.DeleteScalingConfigRequest(of));
  const none = new models.ListProvisionConfigsRequest({ functionName: NAME });
  assert.deepEqual((await client.listProvisionConfigs(none)).body.provisionConfigs, []);
  const reserved = new models.ListConcurrencyConfigsRequest({ functionName: NAME });
  assert.deepEqual((await client.listConcurrencyConfigs(reserved)).body.configs, []);
  const instances = (await client.listInstances(NAME, new models.ListInstancesRequest({ withAllActive: true }))).body;
  assert.ok(Array.isArray(instances.instances));
}

async function triggers() {
  const config = { authType: "anonymous", methods: ["GET"] };
  const given = new models.CreateTriggerInput({ triggerName: "web", triggerType: "http", triggerConfig: JSON.stringify(config) });
  const made = (await client.createTrigger(NAME, new models.CreateTriggerRequest({ body: given }))).body;
  const answer = await fetch(made.httpTrigger.urlInternet);
  assert.equal(answer.status, 200);
  assert.deepEqual(JSON.parse((await client.getTrigger(NAME, "web")).body.triggerConfig), config);
  const change = new models.UpdateTriggerInput({ description: "front" });
  const changed = await client.updateTrigger(NAME, "web", new models.UpdateTriggerRequest({ body: change }));
  assert.equal(changed.body.description, "front");
  const listed = (await client.listTriggers(NAME, new models.ListTriggersRequest({ limit: 10 }))).body.triggers;
  assert.deepEqual(listed.map((one) => one.triggerName), ["web"]);
  await refused("FunctionNotEmpty", () => client.deleteFunction(NAME));
  await client.deleteTrigger(NAME, "web");
}

async function domains() {
  const routeConfig = new models.RouteConfig({ routes: [new models.PathConfig({ path: "/*", functionName: NAME })] });
  const body = new models.CreateCustomDomainInput({ domainName: SITE, protocol: "HTTP", routeConfig });
  await client.createCustomDomain(new models.CreateCustomDomainRequest({ body }));
  assert.equal((await client.getCustomDomain(SITE)).body.routeConfig.routes[0].functionName, NAME);
  const listed = (await client.listCustomDomains(new models.ListCustomDomainsRequest({ prefix: "nodesdk" }))).body;
  assert.deepEqual(listed.customDomains.map((one) => one.domainName), [SITE]);
  const change = new models.UpdateCustomDomainInput({ corsConfig: new models.CORSConfig({ allowOrigins: ["*"], maxAge: 60 }) });
  const changed = await client.updateCustomDomain(SITE, new models.UpdateCustomDomainRequest({ body: change }));
  assert.equal(changed.body.corsConfig.maxAge, 60);
  await client.deleteCustomDomain(SITE);
}

async function rest() {
  const { url } = (await client.getFunctionCode(NAME, new models.GetFunctionCodeRequest({}))).body;
  const zip = Buffer.from(await (await fetch(url)).arrayBuffer());
  assert.equal(zip.toString("base64"), process.env.ECHO_ZIP);
  const code = new models.InputCodeLocation({ zipFile: process.env.ECHO_ZIP });
  const given = new models.CreateLayerVersionInput({ code, compatibleRuntime: ["python3.10"] });
  const layer = (await client.createLayerVersion("nodesdk_more", new models.CreateLayerVersionRequest({ body: given }))).body;
  assert.equal((await client.getLayerVersion("nodesdk_more", `${layer.version}`)).body.codeSize, layer.codeSize);
  const versions = (await client.listLayerVersions("nodesdk_more", new models.ListLayerVersionsRequest({}))).body.layers;
  assert.deepEqual(versions.map((one) => one.version), [layer.version]);
  const named = (await client.listLayers(new models.ListLayersRequest({ prefix: "nodesdk_more" }))).body.layers;
  assert.equal(named.length, 1);
  await client.deleteLayerVersion("nodesdk_more", `${layer.version}`);
  const arn = (await client.getFunction(NAME, new models.GetFunctionRequest({}))).body.functionArn;
  const body = new models.TagResourcesInput({ resourceId: [arn], resourceType: "function", tag: [new models.Tag({ key: "a", value: "b" })] });
  await client.tagResources(new models.TagResourcesRequest({ body }));
  await client.untagResources(new models.UntagResourcesRequest({ resourceId: [arn], resourceType: "function", tagKey: ["a"] }));
  assert.deepEqual((await client.listVpcBindings(NAME)).body.vpcIds, []);
  const none = new models.CreateVpcBindingInput({ vpcId: "vpc-none" });
  const bind = new models.CreateVpcBindingRequest({ body: none });
  await refused("VpcNotFound", () => client.createVpcBinding(NAME, bind));
  await client.deleteVpcBinding(NAME, "vpc-none");
  assert.ok((await client.describeRegions(new models.DescribeRegionsRequest({}))).body.regions.region.length);
}

const code = new models.InputCodeLocation({ zipFile: process.env.ECHO_ZIP });
const body = new models.CreateFunctionInput({ functionName: NAME, runtime: "python3.10", handler: "index.handler", code });
await client.createFunction(new models.CreateFunctionRequest({ body }));
try {
  for (const step of [tasks, sizes, triggers, domains, rest]) await step();
} finally {
  await client.deleteFunction(NAME);
}
