/**
 * The package as npm gives it: packed, installed into an empty folder and used from plain Node there. Its programs are those
 * of docs/library.md, each of which says in comments what it prints.
 * @once
 */
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SMALL_DIT } from '../cli/models.ts';

const REPO = fileURLToPath(new URL('../..', import.meta.url));
const DOCS = readFileSync(join(REPO, 'docs/library.md'), 'utf8');
const execute = promisify(execFile);
/** The programs by the name in their first line. */
const programs = new Map([...DOCS.matchAll(/```\w+\n\/\/ (\S+)\n([^]*?)```/g)].map(([, name, text]) => [name, text]));

let folder: string;
const at = (...path: string[]) => join(folder, ...path);

/** A command in the installed package's folder, without what the tests' own process was started with. */
async function run(command: string, args: readonly string[], cwd = folder): Promise<string> {
  const env = { ...process.env, NODE_OPTIONS: '', NO_COLOR: '1' };
  try {
    return (await execute(command, args, { cwd, env })).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`);
  }
}
const node = (...args: string[]) => run(process.execPath, args);
const npm = (args: readonly string[], cwd?: string) =>
  run('npm', [...args, '--prefer-offline', '--no-audit', '--no-fund'], cwd);
const tsc = (...args: string[]) => node(join(REPO, 'node_modules/typescript/bin/tsc'), ...args);
const linesOf = async (...args: string[]) => (await node(...args)).trim().split('\n');

/** What the comments of a program say that it prints. */
const promised = (name: string) =>
  [...programs.get(name)!.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, text]) => text);

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'ditc-package-')));
  mkdirSync(at('tarball'));
  await npm(['pack', '--pack-destination', at('tarball')], REPO);
  const [tarball] = readdirSync(at('tarball'));
  writeFileSync(at('package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }));
  await npm(['install', '--omit=dev', at('tarball', tarball)]);
  for (const [name, text] of programs) writeFileSync(at(name), text);
}, 400_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the installed package', () => {
  it('builds for pages', async () => {
    await node(
      at('node_modules/ditc/cli/ditc.mjs'),
      'build',
      at('node_modules/ditc/models/digits.ts'),
      '--target',
      'web',
      '--out',
      at('site'),
    );
    const files = readdirSync(at('site'));
    expect(files).toEqual(
      expect.arrayContaining(['index.d.ts', 'index.html', 'index.js', 'model.json', 'page.js', 'runtime.js']),
    );
    expect(readFileSync(at('site/runtime.js'), 'utf8')).toMatch(/export\s*\{[^}]*load/);
  });

  it('is JavaScript with declarations: neither a loader of TypeScript nor a browser comes with it', () => {
    for (const name of ['tsx', 'esbuild', '@sparticuz/chromium', 'typescript'])
      expect(existsSync(at('node_modules', name)), name).toBe(false);
    const files = readdirSync(at('node_modules/ditc/dist'), { recursive: true, encoding: 'utf8' });
    expect(files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([]);
    expect(existsSync(at('node_modules/ditc/LICENSE'))).toBe(true);
  });

  it('has all that its own exports name', () => {
    const { exports } = JSON.parse(readFileSync(at('node_modules/ditc/package.json'), 'utf8')) as { exports: object };
    const paths = [...JSON.stringify(exports).matchAll(/"(\.\/(?:dist|models)[^"*]*)"/g)].map(([, path]) => path);
    expect(paths.length).toBeGreaterThan(6);
    for (const path of paths) expect(existsSync(at('node_modules/ditc', path)), path).toBe(true);
  });

  it.each(['draw.mjs', 'build.mjs', 'run.mjs', 'train.mjs', 'old.cjs'])(
    'runs %s of the docs as it says',
    async (name) => {
      expect(promised(name).length).toBeGreaterThan(0);
      expect(await linesOf(name)).toEqual(promised(name));
    },
  );

  it('compiles its own models where it is a clone that was linked', async () => {
    mkdirSync(at('linked/node_modules'), { recursive: true });
    symlinkSync(REPO, at('linked/node_modules/ditc'));
    writeFileSync(
      at('linked/mine.ts'),
      `import { defineModel } from 'ditc/dsl';\nimport { dit } from 'ditc/models/dit';\nexport default defineModel(dit({ inputSize: 4, depth: 1 }));\n`,
    );
    writeFileSync(
      at('linked/build.mjs'),
      `import { compile } from 'ditc/compiler';
for (const file of ['node_modules/ditc/models/digits.ts', 'mine.ts'])
  console.log((await compile(file, { entries: ['forward'] })).manifest.entries.forward.outputs[0].name);`,
    );
    expect(await run(process.execPath, ['build.mjs'], at('linked'))).toBe('out\nout\n');
  });

  it('types a build’s bindings, strictly, and they run once compiled', async () => {
    await npm(['install', '--save-dev', '@types/node@20']);
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUnusedLocals'];
    const options = ['--module', 'nodenext', '--target', 'es2022', '--types', 'node', ...strict];
    await tsc(...options, 'curve.ts', 'typed.ts');
    expect(await linesOf('typed.js')).toEqual(promised('typed.ts'));
  });

  it('has its commands, for a model of one’s own', async () => {
    writeFileSync(at('small.ts'), SMALL_DIT);
    const ditc = (...args: string[]) => node('node_modules/ditc/cli/ditc.mjs', ...args);
    expect(await ditc('sample', 'small.ts', '--classes', '0-3', '--steps', '2', '--out', 'small.png')).toContain(
      '4 pictures',
    );
    expect((await ditc('--version')).trim()).toBe('0.1.0');
    // On a machine without a driver, the package's own.
    const report = JSON.parse(await ditc('doctor', '--json')) as { adapter: unknown };
    expect(report.adapter).not.toBeNull();
  });

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'computes without a GPU or a driver of the machine’s',
    async () => {
      const env = 'process.env.DITC_ADAPTER = "embedded"; process.env.XDG_CACHE_HOME = process.cwd() + "/cache";';
      writeFileSync(at('bare.mjs'), `${env}\nawait import('./build.mjs');\nawait import('./run.mjs');`);
      expect(await linesOf('bare.mjs')).toEqual([...promised('build.mjs'), ...promised('run.mjs')]);
    },
  );
});
