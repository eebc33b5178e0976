// What nodejs-handle-net-client asks of a server, by node's own modules alone.
//
//   node handle_client.mjs PORT CA.pem KEY.pem PREFIX
//
// Writes one line of JSON for each step: {"step", "status", "body"}.
import crypto from "node:crypto";
import fs from "node:fs";
import https from "node:https";

const [port, caFile, keyFile, prefix] = process.argv.slice(2);
const agent = new https.Agent({ ca: fs.readFileSync(caFile), rejectUnauthorized: true });
const privateKey = fs.readFileSync(keyFile);
const handle = `${prefix}/js-1`;

function ask(step, method, path, authorization, body) {
  const headers = {};
  if (authorization) headers.Authorization = `Handle ${authorization}`;
  if (body !== undefined) headers["Content-Type"] = "application/json;charset=UTF-8";
  return new Promise((resolve, reject) => {
    const request = https.request({ host: "127.0.0.1", port, method, path, headers, agent }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const answer = { step, status: response.statusCode, body: text ? JSON.parse(text) : null };
        console.log(JSON.stringify(answer));
        resolve(answer.body);
      });
    });
    request.on("error", reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const { sessionId, nonce } = await ask("begin", "POST", "/api/sessions");
const cnonce = crypto.randomBytes(16);
const signer = crypto.createSign("RSA-SHA256");
signer.update(Buffer.concat([Buffer.from(nonce, "base64"), cnonce]));
const members = {
  sessionId,
  id: `300:0.NA/${prefix}`,
  type: "HS_PUBKEY",
  cnonce: cnonce.toString("base64"),
  alg: "SHA256",
  signature: signer.sign(privateKey, "base64"),
};
const log_in = Object.entries(members).map(([name, value]) => `${name}="${value}"`).join(",");
await ask("log in", "PUT", "/api/sessions/this", log_in, {});

const session = `sessionId="${sessionId}"`;
const admin = { handle: `0.NA/${prefix}`, index: "300", permissions: "111111111111", legacyByteLength: true };
const values = [
  { index: 1, type: "URL", data: { format: "string", value: "https://example.com/js-1" } },
  { index: 100, type: "HS_ADMIN", data: { format: "admin", value: admin } },
];
const path = `/api/handles/${handle}`;
await ask("create", "PUT", `${path}?overwrite=false`, session, values);
await ask("create again", "PUT", `${path}?overwrite=false`, session, values);
await ask("read", "GET", path, session);
await ask("list", "GET", `/api/handles?prefix=${prefix}`, session);
await ask("delete", "DELETE", path, session);
await ask("end", "DELETE", "/api/sessions/this", session);
agent.destroy();
