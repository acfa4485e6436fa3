// What the programs for Node share: where the servers are, and checks that say what came instead.
import { isDeepStrictEqual, inspect } from "node:util";

export const PRIMARY = Number(process.env.PRIMARY_PORT);
export const REPLICA = Number(process.env.REPLICA_PORT);

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function equal(what, got, wanted) {
  if (!isDeepStrictEqual(got, wanted)) {
    console.error(`${what}: expected ${inspect(wanted)}, got ${inspect(got)}`);
    process.exit(1);
  }
}

/** Asks until it gets what is wanted. */
export async function eventually(what, wanted, ask, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  let got;
  do {
    got = await ask();
    if (isDeepStrictEqual(got, wanted)) return;
    await pause(10);
  } while (Date.now() < end);
  equal(`${what}, after ${seconds} s`, got, wanted);
}
