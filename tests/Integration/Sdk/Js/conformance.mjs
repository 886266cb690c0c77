// The official OpenAI SDK for JavaScript against AIASPIRE_URL: one line of JSON per case, {"area","name","ok","error"}.
// Arguments are parts of names: only those cases are run then.
import { cases } from './cases/index.mjs';

// Enough to be quick, and few enough for a machine of two cores.
const AT_ONCE = 4;
const LIMIT_MS = 60_000;

const wanted = process.argv.slice(2);
const queue = cases.filter((c) => wanted.length === 0 || wanted.some((w) => `${c.area}: ${c.name}`.includes(w)));

async function runNext() {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const error = await outcome(next);
    process.stdout.write(JSON.stringify({ area: next.area, name: next.name, ok: error === null, error }) + '\n');
  }
}

async function outcome({ run }) {
  let timer;
  try {
    await Promise.race([
      run(),
      new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`not over after ${LIMIT_MS / 1000} s`)), LIMIT_MS))),
    ]);
    return null;
  } catch (error) {
    return error?.stack ?? String(error);
  } finally {
    clearTimeout(timer);
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, runNext));
// Not before all of it is written, and not held up by a connection that a case has left open.
process.stdout.write('', () => process.exit(0));
