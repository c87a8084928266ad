// Calls the edge at a port with the libraries that browser apps use, and prints what each call gave, a JSON line each.
//
//     node clients.cjs <port> <descriptor image of feeds.v1>
const { readFileSync } = require("node:fs");
const { createFileRegistry, fromBinary, toJson } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");
const { Code, createClient } = require("@connectrpc/connect");
const { createConnectTransport, createGrpcWebTransport } = require("@connectrpc/connect-web");

const [port, image] = process.argv.slice(2);
const baseUrl = `http://127.0.0.1:${port}`;

function tell(client, call, result) {
  console.log(JSON.stringify({ client, call, ...result }));
}

async function connectWeb(name, transport, feeds) {
  const client = createClient(feeds, transport);
  const once = await client.once({ name: "a" }, { timeoutMs: 5000 });
  tell(name, "once", { texts: [once.text] });
  const seen = { texts: [] };
  const watching = client.watch({ name: "a" }, {
    onHeader: (headers) => { seen.lead = headers.get("x-lead"); },
    onTrailer: (trailers) => { seen.trail = trailers.get("x-trail"); },
  });
  for await (const event of watching) seen.texts.push(event.text);
  tell(name, "watch", seen);
  try {
    await client.once({ name: "fail" });
  } catch (error) {
    const details = error.details.map((each) => each.type);
    tell(name, "fail", { code: Code[error.code], message: error.rawMessage, details });
  }
}

// Messages are made by hand: grpc-web wants generated code. The first field of each is a short string.
function grpcWeb(format) {
  global.XMLHttpRequest = require("xhr2");
  const { GrpcWebClientBase, MethodDescriptor, MethodType } = require("grpc-web");
  const client = new GrpcWebClientBase({ format });
  const write = (text) => Uint8Array.from([10, text.length, ...Buffer.from(text)]);
  const read = (bytes) => Buffer.from(bytes.slice(2, 2 + bytes[1])).toString();
  const method = (name, type) => new MethodDescriptor(`/feeds.v1.Feeds/${name}`, type, Object, Object, write, read);
  const name = `google ${format}`;
  for (const called of ["Once", "Nope"]) {
    client.rpcCall(`${baseUrl}/feeds.v1.Feeds/${called}`, "a", {}, method(called, MethodType.UNARY), (error, text) => {
      tell(name, called.toLowerCase(), error ? { code: error.code, message: error.message } : { texts: [text] });
    });
  }
  const seen = { texts: [] };
  const watching = client.serverStreaming(`${baseUrl}/feeds.v1.Feeds/Watch`, "a", {}, method("Watch", MethodType.SERVER_STREAMING));
  watching.on("metadata", (metadata) => { seen.lead = metadata["x-lead"]; });
  watching.on("data", (text) => seen.texts.push(text));
  watching.on("status", (status) => { seen.trail = status.metadata["x-trail"]; });
  watching.on("end", () => tell(name, "watch", seen));
}

async function main() {
  const feeds = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(image))).getService("feeds.v1.Feeds");
  await connectWeb("connect json", createConnectTransport({ baseUrl }), feeds);
  await connectWeb("connect binary", createConnectTransport({ baseUrl, useBinaryFormat: true }), feeds);
  await connectWeb("grpc-web json", createGrpcWebTransport({ baseUrl, useBinaryFormat: false }), feeds);
  await connectWeb("grpc-web binary", createGrpcWebTransport({ baseUrl }), feeds);
  grpcWeb("text");
  grpcWeb("binary");
}

main();
