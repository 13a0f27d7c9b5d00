// How the official parser of s.yaml reads a file: SDK_HOME and the file come by the environment, JSON goes out.

const { createRequire } = require("node:module");
const { dirname } = require("node:path");

const need = createRequire(`${process.env.SDK_HOME}/`);
const { default: ParseSpec } = need("@serverless-devs/parse-spec");

process.chdir(dirname(process.env.S_YAML));
new ParseSpec(process.env.S_YAML, { argv: ["deploy"], logger: { ...console, warnOnce() {}, debug() {} } })
  .start()
  .then((spec) => {
    const steps = spec.steps.map((one) => ({ name: one.projectName, component: one.component, props: one.props }));
    process.stdout.write(`\n@@${JSON.stringify(steps)}`);
  })
  .catch((error) => {
    process.stderr.write(`${error.stack}`);
    process.exit(1);
  });
