// A client that nobody here wrote: vscode-jsonrpc drives the socket as an editor would, and prints what it saw as JSON.
const net = require("node:net");
const rpc = require("vscode-jsonrpc/node");

async function main(path, plan) {
  const socket = net.createConnection(path);
  const connection = rpc.createMessageConnection(new rpc.StreamMessageReader(socket), new rpc.StreamMessageWriter(socket));
  const seen = { entries: [], output: "", outputEnded: false };
  let aborted, ended;
  const abortSeen = new Promise((resolve) => (aborted = resolve));
  const outputEnd = new Promise((resolve) => (ended = resolve));
  connection.onNotification("ledger/entry", (entry) => {
    seen.entries.push(entry);
    if (entry.record.includes("session.aborted")) aborted();
  });
  connection.onNotification("attempt/output", (piece) => {
    seen.output += piece.text;
    if (piece.ended) ended();
  });
  connection.listen();

  seen.started = await connection.sendRequest("session/start", { path: plan, env: { NAME: "ünïcode" } });
  const session = seen.started.session_id;
  seen.subscribed = await connection.sendRequest("ledger/subscribe", { session, after: 0 });
  const page = await connection.sendRequest("attempt/output", { session, task: "a", follow: true });
  seen.output += page.text;

  const source = new rpc.CancellationTokenSource();
  const slow = connection.sendRequest("session/status", { session }, source.token).catch((error) => error.code);
  source.cancel();
  seen.cancelled = await slow;
  seen.unknown = await connection.sendRequest("session/begin").catch((error) => ({ code: error.code, data: error.data }));

  seen.aborted = await connection.sendRequest("session/abort", { session });
  await Promise.all([abortSeen, outputEnd]);
  console.log(JSON.stringify(seen));
  connection.dispose();
  socket.destroy();
}

main(process.argv[2], process.argv[3] || "/plan.toml").catch((error) => {
  console.error(error);
  process.exit(1);
});
