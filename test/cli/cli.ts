/** Runs the `ditc` command: in this process, which keeps the compiler warm, or as a user does. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { main } from '../../cli/main.ts';

export const BIN = fileURLToPath(new URL('../../cli/ditc.mjs', import.meta.url));
export const REPO = fileURLToPath(new URL('../..', import.meta.url));

export interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** `ditc …` in this process, in the folder `cwd`. */
export async function ditc(
  args: readonly string[],
  cwd = REPO,
  seams: Parameters<typeof main>[2] = {},
): Promise<Result> {
  const colors = pc.createColors(false);
  let [out, err] = ['', ''];
  const before = process.cwd();
  process.chdir(cwd);
  try {
    const terminal = {
      out: (text: string) => void (out += `${text}\n`),
      err: (text: string) => void (err += `${text}\n`),
      interactive: false,
      outColors: colors,
      errColors: colors,
    };
    return { code: await main(args, terminal, seams), out, err };
  } finally {
    process.chdir(before);
  }
}

/** `node cli/ditc.mjs …` as a process of its own. Its code is what a shell makes of it: 128 and the signal that ended it. */
export function spawnDitc(
  args: readonly string[],
  cwd = REPO,
  onStart?: (child: ChildProcessWithoutNullStreams) => void,
): Promise<Result> {
  const child = spawn(process.execPath, [BIN, ...args], { cwd, env: { ...process.env, NO_COLOR: '1' } });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (err += String(chunk)));
  onStart?.(child);
  return new Promise((resolve) =>
    child.on('close', (code, signal) => resolve({ code: code ?? 128 + constants.signals[signal!], out, err })),
  );
}

/** A model whose entries are a few ops: quick to compile, its results easy to tell. */
export const TINY = `import { defineModel, ones } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    scale(e) {
      const x = e.input('x', [e.batch, 3]);
      const k = e.input('k', [3], 'i32');
      const flag = e.input('flag', [3], 'bool');
      const w = e.params.param('w', [3], ones);
      const scaled = x.mul(k.cast('f32')).mul(w);
      return { scaled, count: k.add(1), masked: scaled.mul(flag.cast('f32')) };
    },
    count(e) {
      const n = e.state('n', [2], 'i32');
      e.update(n, n.add(5));
    },
  },
});
`;

/** A DiT of 8×8 pixels: the whole sampling machinery, little work. */
export const SMALL_DIT = `import { defineModel } from 'ditc/dsl';
import { dit } from 'ditc/models/dit';

const network = dit({
  inputSize: 8, patchSize: 4, inChannels: 1, hiddenSize: 16, depth: 1, numHeads: 2, numClasses: 5,
});

export default defineModel({ ...network, picture: { range: [-1, 1] } });
`;
