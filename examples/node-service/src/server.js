import { createServer } from "node:http";
import process from "node:process";
import { fileURLToPath } from "node:url";

import colors from "picocolors";

import { height, nextHighWater } from "./tide.js";

const M2 = { amplitude: 1.2, speed: 28.9841, phase: 40 };
const S2 = { amplitude: 0.4, speed: 30, phase: 75 };
const constituents = [M2, S2];

/** Returns a server that answers /health, /height?hours=N and /high-water?from=N. */
export function makeServer() {
  return createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    const send = (status, body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (url.pathname === "/health") {
      return send(200, { status: "healthy", version: process.env.APP_VERSION ?? "dev" });
    }
    const number = Number(url.searchParams.get(url.pathname === "/height" ? "hours" : "from"));
    if (Number.isNaN(number)) {
      return send(400, { error: "not a number" });
    }
    if (url.pathname === "/height") {
      return send(200, { hours: number, height: height(constituents, number) });
    }
    if (url.pathname === "/high-water") {
      return send(200, nextHighWater(constituents, number));
    }
    return send(404, { error: "not found" });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = makeServer();
  server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
    console.log(colors.green(`listening on ${server.address().port}`));
  });
}
