// A node-opcua server for tests: `node server.js '{"port":0,"counters":100,"everyMs":100,…}'`.
// Prints one line `READY <port>` and counts each variable up by one at each step. Ends when standard input closes.
"use strict";
const path = require("node:path");
const net = require("node:net");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { MessageSecurityMode, SecurityPolicy } = require("node-opcua-secure-channel");
const { OPCUAServer } = require("node-opcua-server");
const { StatusCodes } = require("node-opcua-status-code");
const { DataType, Variant } = require("node-opcua-variant");

const options = JSON.parse(process.argv[2]);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));

const freePort = () =>
  new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

(async () => {
  const port = options.port || (await freePort());
  const manager = new OPCUACertificateManager({
    rootFolder: path.join(options.folder, "pki"),
    automaticallyAcceptUnknownCertificate: true,
  });
  await manager.initialize();
  const server = new OPCUAServer({
    port,
    hostname: "127.0.0.1",
    resourcePath: "/node",
    allowAnonymous: false,
    certificateFile: options.certificate,
    privateKeyFile: options.key,
    serverCertificateManager: manager,
    userCertificateManager: manager,
    serverInfo: { applicationUri: options.applicationUri },
    securityModes: [MessageSecurityMode.SignAndEncrypt, MessageSecurityMode.Sign],
    securityPolicies: [SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes256_Sha256_RsaPss],
    userManager: { isValidUser: (user, password) => user === "collector" && password === options.password },
    serverCapabilities: { maxSessions: 50 },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const namespace = space.registerNamespace("urn:gongshu:node");
  const folder = namespace.addFolder(space.rootFolder.objects, { browseName: "Counters" });
  const counters = [];
  for (let i = 0; i < options.counters; i++) {
    counters.push(
      namespace.addVariable({
        componentOf: folder,
        browseName: `c${i}`,
        nodeId: `s=c${i}`,
        dataType: DataType.Int32,
        minimumSamplingInterval: 0,
        value: new Variant({ dataType: DataType.Int32, value: 0 }),
      }),
    );
  }
  await server.start();
  let step = 0;
  const timer = setInterval(() => {
    step += 1;
    const now = new Date();
    for (const counter of counters) {
      counter.setValueFromSource({ dataType: DataType.Int32, value: step }, StatusCodes.Good, now);
    }
    if (options.steps && step >= options.steps) clearInterval(timer);
  }, options.everyMs);
  console.log(`READY ${port}`);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
