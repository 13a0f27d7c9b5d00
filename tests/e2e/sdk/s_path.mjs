// What Serverless Devs' component fc3 does from deploy to remove, in its order and with its arguments, by the very
// libraries it uses: the Node SDK for FC 3.0, the one for FC 2.0 (for the upload token) and ali-oss (for the upload).
//
// The component itself comes from its vendor's registry at run time and is in no package that could be installed for
// a test; the order and the empty values below are those of its source, version 0.1.22.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Readable } from "node:stream";
import { promisify } from "node:util";

const require = createRequire(pathToFileURL(`${process.env.SDK_HOME}/`));
const { default: FC, ...models } = require("@alicloud/fc20230330");
const { Config } = require("@alicloud/openapi-core").$OpenApiUtil;
const { RuntimeOptions } = require("@darabonba/typescript");
const FC2 = require("@alicloud/fc2");
const OSS = require("ali-oss");
const crc64File = promisify(require("crc64-ecma182.js").crc64File);

const region = "cn-hangzhou";
const name = "s-path";
const endpoint = process.env.ENDPOINT;
const keys = { accessKeyId: process.env.ACCESS_KEY_ID, accessKeySecret: process.env.ACCESS_KEY_SECRET };
const client = new FC(new Config({ ...keys, protocol: "http", endpoint, readTimeout: 60000, connectTimeout: 10000 }));
const runtime = new RuntimeOptions({});

// The component's values for what its user does not say.
const EMPTY = {
  description: "", environmentVariables: {}, gpuConfig: undefined, internetAccess: true, layers: [],
  instanceIsolationMode: "SHARE", sessionAffinity: "NONE", diskSize: 512, timeout: 3, tracingConfig: {},
  logConfig: { enableInstanceMetrics: false, enableRequestMetrics: false, logBeginRule: "None", logstore: "", project: "" },
  nasConfig: { groupId: 0, userId: 0, mountPoints: [] },
  ossMountConfig: { mountPoints: [] },
  vpcConfig: { securityGroupId: "", vSwitchIds: [], vpcId: "" },
};

async function missing(code, work) {
  await assert.rejects(work, (error) => {
    assert.equal(error.code, code, error.message);
    return true;
  });
}

async function upload(zip) {
  const old = new FC2(process.env.ACCOUNT_ID, {
    accessKeyID: keys.accessKeyId, accessKeySecret: keys.accessKeySecret, region,
    endpoint: `http://${endpoint}`, secure: true, timeout: 60000,
  });
  const { data } = await old.getTempBucketToken();
  const { credentials, ossBucket, objectName } = data;
  const store = new OSS({
    endpoint: process.env.FC_CODE_TEMP_OSS_ENDPOINT, accessKeyId: credentials.AccessKeyId,
    accessKeySecret: credentials.AccessKeySecret, stsToken: credentials.SecurityToken, bucket: ossBucket,
    timeout: "600000", refreshSTSToken: async () => ({}),
  });
  const ossObjectName = `${old.accountid}/${objectName}`;
  await store.put(ossObjectName, zip);
  return { ossBucketName: ossBucket, ossObjectName };
}

async function deploy(zip, props) {
  let there = null;
  try {
    there = (await client.getFunction(name, new models.GetFunctionRequest({}))).toMap().body;
  } catch (error) {
    assert.equal(error.code, "FunctionNotFound");
  }
  const config = { ...EMPTY, functionName: name, runtime: "python3.10", handler: "index.handler", memorySize: 512, cpu: 0.35, ...props };
  if (!there || there.codeChecksum !== (await crc64File(zip))) config.code = await upload(zip);
  if (!there) {
    const body = new models.CreateFunctionInput(config);
    await client.createFunctionWithOptions(new models.CreateFunctionRequest({ body }), {}, runtime);
  } else {
    const body = new models.UpdateFunctionInput(config);
    await client.updateFunctionWithOptions(name, new models.UpdateFunctionRequest({ body }), {}, runtime);
  }
  await trigger();
  await around();
  return Boolean(config.code);
}

async function trigger() {
  const config = { authType: "anonymous", disableURLInternet: false, methods: ["GET", "POST"] };
  const given = { triggerName: "web", triggerType: "http", triggerConfig: JSON.stringify(config), qualifier: "LATEST" };
  let there = true;
  await client.getTrigger(name, "web").catch((error) => {
    assert.equal(error.code, "TriggerNotFound");
    there = false;
  });
  if (there) {
    await client.updateTrigger(name, "web", new models.UpdateTriggerRequest({ body: new models.UpdateTriggerInput(given) }));
  } else {
    await client.createTrigger(name, new models.CreateTriggerRequest({ body: new models.CreateTriggerInput(given) }));
  }
}

async function around() {
  const qualifier = "LATEST";
  await client.getAsyncInvokeConfig(name, new models.GetAsyncInvokeConfigRequest({ qualifier })).catch(() => null);
  const asynchronous = new models.PutAsyncInvokeConfigInput({ maxAsyncRetryAttempts: 1, asyncTask: true, destinationConfig: {} });
  await client.putAsyncInvokeConfig(name, new models.PutAsyncInvokeConfigRequest({ qualifier, body: asynchronous }));
  assert.deepEqual((await client.listVpcBindings(name)).body.vpcIds, []);
  const of = { qualifier };
  assert.equal((await client.getProvisionConfig(name, new models.GetProvisionConfigRequest(of))).body.target, 0);
  assert.equal((await client.getScalingConfig(name, new models.GetScalingConfigRequest(of))).body.minInstances, 0);
  await client.getConcurrencyConfig(name).catch((error) => assert.equal(error.code, "ConcurrencyConfigNotFound"));
  const body = new models.PutConcurrencyInput({ reservedConcurrency: 5 });
  await client.putConcurrencyConfig(name, new models.PutConcurrencyConfigRequest({ body }));
}

async function info() {
  const got = (await client.getFunction(name, new models.GetFunctionRequest({}))).toMap().body;
  assert.deepEqual([got.state, got.lastUpdateStatus, got.memorySize], ["Active", "Successful", 512]);
  const headers = { "x-fc-disable-list-remote-eb-triggers": "true", "x-fc-disable-list-remote-alb-triggers": "true" };
  const asked = new models.ListTriggersRequest({ limit: 10 });
  const listed = (await client.listTriggersWithOptions(name, asked, headers, runtime)).body.triggers;
  assert.deepEqual(listed.map((one) => one.triggerName), ["web"]);
  assert.match(listed[0].httpTrigger.urlInternet, /^http/);
}

async function invoke(payload, fields = {}) {
  const headers = new models.InvokeFunctionHeaders({ xFcLogType: "Tail", ...fields });
  const body = Readable.from(Buffer.from(payload));
  const request = new models.InvokeFunctionRequest({ qualifier: "LATEST", body });
  const answer = await client.invokeFunctionWithOptions(name, request, headers, runtime);
  const pieces = [];
  for await (const piece of answer.body) pieces.push(piece);
  return [answer.statusCode, Buffer.concat(pieces).toString(), answer.headers];
}

async function release() {
  const publish = new models.PublishFunctionVersionRequest({ body: new models.PublishVersionInput({ description: "" }) });
  const { versionId } = (await client.publishFunctionVersionWithOptions(name, publish, {}, runtime)).toMap().body;
  const asked = new models.ListFunctionVersionsRequest({ limit: 100 });
  const versions = (await client.listFunctionVersions(name, asked)).body.versions;
  assert.deepEqual(versions.map((one) => one.versionId), [versionId]);
  await missing("AliasNotFound", () => client.getAlias(name, "prod"));
  const alias = new models.CreateAliasInput({ aliasName: "prod", versionId });
  await client.createAlias(name, new models.CreateAliasRequest({ body: alias }));
  const provision = new models.PutProvisionConfigInput({ target: 1, defaultTarget: 1, alwaysAllocateCPU: false, scheduledActions: [], targetTrackingPolicies: [] });
  await client.putProvisionConfig(name, new models.PutProvisionConfigRequest({ qualifier: "prod", body: provision }));
  const provisions = await client.listProvisionConfigs(new models.ListProvisionConfigsRequest({ functionName: name, limit: 100 }));
  assert.equal(provisions.body.provisionConfigs.length, 1);
  return versionId;
}

async function layers(zip) {
  const code = new models.InputCodeLocation(await upload(zip));
  const body = new models.CreateLayerVersionInput({ code, compatibleRuntime: ["python3.10"], description: "" });
  const made = (await client.createLayerVersion("s-layer", new models.CreateLayerVersionRequest({ body }))).body;
  const listed = (await client.listLayerVersions("s-layer", new models.ListLayerVersionsRequest({ limit: 100, startVersion: 1 }))).body;
  assert.deepEqual(listed.layers.map((one) => one.version), [made.version]);
  await client.deleteLayerVersion("s-layer", `${made.version}`);
}

async function remove(versionId) {
  await client.deleteAsyncInvokeConfig(name, new models.DeleteAsyncInvokeConfigRequest({ qualifier: "LATEST" }));
  await client.deleteTriggerWithOptions(name, "web", {}, runtime);
  for (const config of (await client.listProvisionConfigs(new models.ListProvisionConfigsRequest({ functionName: name }))).body.provisionConfigs) {
    const qualifier = config.functionArn.split("/").at(-1);
    await client.deleteProvisionConfig(name, new models.DeleteProvisionConfigRequest({ qualifier }));
  }
  const scaled = await client.listScalingConfigs(new models.ListScalingConfigsRequest({ functionName: name }));
  assert.deepEqual(scaled.body.scalingConfigs, []);
  await client.deleteConcurrencyConfig(name);
  for (const alias of (await client.listAliases(name, new models.ListAliasesRequest({ limit: 100 }))).body.aliases) {
    await client.deleteAlias(name, alias.aliasName);
  }
  await client.deleteFunctionVersionWithOptions(name, versionId, {}, runtime);
  await client.deleteFunction(name);
  await missing("FunctionNotFound", () => client.getFunction(name, new models.GetFunctionRequest({})));
}

assert.equal(await deploy(process.env.FIRST_ZIP, {}), true);
await info();
assert.deepEqual((await invoke("hello")).slice(0, 2), [200, "hello"]);
assert.equal(await deploy(process.env.FIRST_ZIP, { timeout: 9 }), false, "the checksum says that nothing is to be sent");
assert.equal(await deploy(process.env.SECOND_ZIP, { timeout: 9 }), true);
assert.equal((await invoke("hello"))[1], "second");
const [status, , headers] = await invoke("later", { xFcInvocationType: "Async", xFcLogType: "None", xFcAsyncTaskId: "s-task" });
assert.deepEqual([status, headers["x-fc-async-task-id"]], [202, "s-task"]);
const versionId = await release();
const instances = (await client.listInstances(name, new models.ListInstancesRequest({ withAllActive: true }))).body.instances;
assert.ok(instances.length >= 1);
await layers(process.env.FIRST_ZIP);
await remove(versionId);
