/**
 * The folder of a training: whose it is, what a killed one leaves, and what damage is told with which way out.
 * @once
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { lockFolder, LOCK_FILE } from '../../runtime/node/lock.ts';
import { ownProcess, processText } from '../../runtime/node/process.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc } from './cli.ts';
import { LINEAR, writeStripes } from './linear-denoiser.ts';
import { writtenIn } from './written.ts';

const folder = scratchFolder();
let cwd: string;
const ARGS = ['train', 'linear.ts', '--data', 'stripes.safetensors', '--batch', '4', '--log-every', '1'];
const train = (out: string, ...args: string[]) =>
  ditc([...ARGS, '--sample-every', '0', '--steps', '4', '--checkpoint-every', '2', '--out', out, ...args], cwd);
const path = (...names: string[]) => join(cwd, ...names);
const weights = (out: string) => readFileSync(path(out, 'weights.safetensors'));
const CHECKPOINTS = ['0000002.safetensors', '0000004.safetensors', 'latest'];

beforeAll(async () => {
  cwd = folder({ 'linear.ts': LINEAR });
  await writeStripes(path('stripes.safetensors'));
  const { code, err } = await train('whole');
  expect(code, err).toBe(0);
});

/** The folder of a training that was killed: what is there of one that ran through, its lock and half a file. */
function killed(out: string, keep: (file: string) => boolean): void {
  rmSync(path(out), { recursive: true, force: true });
  cpSync(path('whole'), path(out), { recursive: true, filter: (from) => keep(from.slice(path('whole').length + 1)) });
  const process = { ...ownProcess(), start: 'before' };
  const holder = { process, host: 'here', since: '2026-01-01T00:00:00Z', doing: 'ditc train' };
  writeFileSync(path(out, LOCK_FILE), JSON.stringify(holder));
  for (const below of ['', 'checkpoints'].filter((name) => existsSync(path(out, name))))
    writeFileSync(path(out, below, `.ditc-${processText(process)}-0.tmp`), 'half');
}

const all = (out: string) => writtenIn(path(out), { below: true });

describe('a training that was killed', () => {
  const early = (file: string) => file === '' || file === 'metrics.jsonl';

  it.each([[[]], [['--resume', 'latest']]])('before its first checkpoint begins anew, with %j too', async (resume) => {
    killed('early', early);
    const { code, err } = await train('early', ...resume);
    expect(code, err).toBe(0);
    expect(err).toContain('note: the training in early ended before its first checkpoint: it begins anew');
    expect(all('early')).toEqual(all('whole'));
    expect(weights('early')).toEqual(weights('whole'));
  });

  it('before it wrote anything begins as in a new folder', async () => {
    killed('nothing', (file) => file === '');
    const { code, err } = await train('nothing');
    expect(code, err).toBe(0);
    expect(err).not.toContain('note:');
    expect(all('nothing')).toEqual(all('whole'));
  });

  it('after its first checkpoint, and before that was named the latest, goes on from it', async () => {
    killed('unnamed', (file) => early(file) || file === 'checkpoints' || file.endsWith('0000002.safetensors'));
    expect((await train('unnamed')).err).toContain(
      'it holds a training already\n   fix: go on with it: --resume latest',
    );
    const { code, err } = await train('unnamed', '--resume', 'latest');
    expect(code, err).toBe(0);
    expect(all('unnamed')).toEqual(all('whole'));
    expect(weights('unnamed')).toEqual(weights('whole'));
  });
});

describe('a training that goes on', () => {
  it('says when its data is newer than the checkpoint', async () => {
    cpSync(path('whole'), path('later'), { recursive: true });
    const go = (step: string) => train('later', '--resume', 'latest', '--steps', step);
    expect((await go('5')).err).not.toContain('newer');
    const later = Date.now() / 1000 + 100;
    utimesSync(path('stripes.safetensors'), later, later);
    const { code, err } = await go('6');
    expect(code, err).toBe(0);
    expect(err).toContain(
      'note: 1 of 1 file of stripes.safetensors is newer than later/checkpoints/0000005.safetensors: ',
    );
  });
});

describe('--out', () => {
  it('that another training writes into is refused, and the process named', async () => {
    mkdirSync(path('locked'));
    const unlock = lockFolder(path('locked'), 'ditc train');
    const { code, err } = await train('locked');
    expect(code).toBe(1);
    expect(err).toContain(`locked — another process is writing there\n   ditc train, process ${process.pid}, since 20`);
    unlock();
    expect((await train('locked')).code).toBe(0);
    expect(all('locked')).toEqual(all('whole'));
  });

  it.each<[string, string[], string]>([
    ['the data', ['--data', 'pictures', '--out', 'pictures'], '--out: pictures is the data'],
    ['in the data', ['--data', 'pictures', '--out', 'pictures/run'], '--out: pictures/run lies in the data'],
    ['the data by another name', ['--data', 'pictures', '--out', './x/../pictures/'], 'is the data'],
    ['around the data, where samples go', ['--data', 'p/samples', '--out', 'p'], 'p/samples is written over'],
    ['around the data, where weights go', ['--data', 'p/weights.safetensors', '--out', 'p'], 'is written over'],
    ['a folder with weights of somebody', ['--out', 'mine'], 'training would write over its weights.safetensors'],
    [
      'of another training',
      ['--resume', 'whole/checkpoints/0000002.safetensors', '--out', 'other'],
      'another training',
    ],
  ])('that is %s is refused', async (_, args, message) => {
    for (const name of ['pictures/a', 'p/samples', 'mine', 'other']) mkdirSync(path(name), { recursive: true });
    writeFileSync(path('mine/weights.safetensors'), 'mine');
    writeFileSync(path('other/metrics.jsonl'), '');
    const { code, err } = await train('unused', ...args);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) });
    expect(readFileSync(path('mine/weights.safetensors'), 'utf8')).toBe('mine');
  });
});

/** Rewrites the record in a checkpoint's header. */
function edit(file: string, change: (record: Record<string, unknown>) => unknown): void {
  const bytes = readFileSync(file);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, end));
  const metadata = header.__metadata__ as Record<string, string>;
  const made = change(JSON.parse(metadata['ditc.training']));
  metadata['ditc.training'] = typeof made === 'string' ? made : JSON.stringify(made);
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  writeFileSync(file, Buffer.concat([size, padded, bytes.subarray(end)]));
}

describe('a training that is finished', () => {
  const again = (...args: string[]) => train('again', '--resume', 'latest', ...args);
  beforeEach(() => {
    rmSync(path('again'), { recursive: true, force: true });
    cpSync(path('whole'), path('again'), { recursive: true, preserveTimestamps: true });
    return () => vi.unstubAllEnvs();
  });

  it('says so when it is resumed, and computes nothing', async () => {
    const written = statSync(path('again/weights.safetensors')).mtimeMs;
    vi.stubEnv('DITC_ADAPTER', 'no adapter is opened');
    const { code, out, err } = await again();
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^again is finished: 4 steps; the weights are in again\/weights.safetensors {2}\d+\.\d s\n$/);
    expect(statSync(path('again/weights.safetensors')).mtimeMs).toBe(written);
    expect(JSON.parse((await again('--json')).out)).toMatchObject({ step: 4, finished: true, before: true });
    expect(all('again')).toEqual(all('whole'));
  });

  it.each<[string, () => void, string[]]>([
    ['weights that are gone', () => rmSync(path('again/weights.safetensors')), []],
    ['weights that are cut short', () => truncateSync(path('again/weights.safetensors'), 60), []],
    ['weights of another step', () => cpSync(path('more/weights.safetensors'), path('again/weights.safetensors')), []],
    ['weights of another dtype', () => {}, ['--weights-dtype', 'f16']],
  ])('writes %s once more', async (_, harm, args) => {
    if (!existsSync(path('more'))) await train('more', '--steps', '5');
    harm();
    const { code, out, err } = await again(...args);
    expect(code, err).toBe(0);
    expect(out).toMatch(/^wrote again\/weights.safetensors/);
    if (!args.length) expect(weights('again')).toEqual(weights('whole'));
    expect((await again(...args)).out).toContain('is finished');
  });

  it('clears away what it left, had it been killed when all was written', async () => {
    killed('again', () => true);
    const { code, out } = await again();
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('is finished') as string });
    expect(all('again')).toEqual(all('whole'));
  });
});

describe('damage', () => {
  beforeEach(() => {
    rmSync(path('damaged'), { recursive: true, force: true });
    cpSync(path('whole'), path('damaged'), { recursive: true });
    expect(readdirSync(path('damaged/checkpoints')).sort()).toEqual(CHECKPOINTS);
  });
  const newest = () => path('damaged/checkpoints/0000004.safetensors');
  const before = '--resume damaged/checkpoints/0000002.safetensors';

  it.each<[string, () => void]>([
    ['cut short', () => truncateSync(newest(), 1000)],
    ['empty', () => truncateSync(newest(), 0)],
    ['gone', () => rmSync(newest())],
    ['with a broken record', () => edit(newest(), () => '{')],
  ])('of the newest checkpoint, %s, is told with the one before it', async (_, harm) => {
    harm();
    const { code, err } = await train('damaged', '--resume', 'latest', '--steps', '6');
    expect(code).toBe(1);
    expect(err).toContain('damaged/checkpoints/0000004.safetensors — ');
    expect(err).toContain(`fix: go on from the newest that is whole: ${before}\n`);
    const resumed = await train('damaged', ...before.split(' '));
    expect(resumed.code, resumed.err).toBe(0);
    expect(weights('damaged')).toEqual(weights('whole'));
  });

  it.each<[string, string]>([
    ['', 'empty'],
    ['../../x\n', 'no checkpoint'],
    ['0000004', 'half a name'],
  ])('of `latest`, %j, loses nothing', async (text) => {
    writeFileSync(path('damaged/checkpoints/latest'), text);
    const { code, out, err } = await train('damaged', '--resume', 'latest', '--steps', '5', '--json');
    expect(code, err).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ step: 5, finished: true });
  });

  it.each<[string, (record: Record<string, unknown>) => unknown]>([
    ['settings is 5', (r) => ({ ...r, settings: 5 })],
    ['settings.batch is "x"', (r) => ({ ...r, settings: { ...(r.settings as object), batch: 'x' } })],
    ['settings.options is null', (r) => ({ ...r, settings: { ...(r.settings as object), options: null } })],
    ['config is null', (r) => ({ ...r, config: null })],
    ['data.classes is missing', (r) => ({ ...r, data: {} })],
    ['position.epoch is -1', (r) => ({ ...r, position: { epoch: -1, index: 0 } })],
    ['step is 1.5', (r) => ({ ...r, step: 1.5 })],
    ['format is missing', () => null],
    ['format is 2', (r) => ({ ...r, format: 2 })],
  ])('of a checkpoint’s record is told as such: %s', async (why, change) => {
    edit(newest(), change);
    rmSync(path('damaged/checkpoints/0000002.safetensors'));
    const { code, err } = await train('damaged', '--resume', 'latest', '--steps', '6');
    expect(code).toBe(1);
    expect(err).toContain(
      `0000004.safetensors — its record of the training is damaged\n   ${why}\n   fix: give another`,
    );
  });

  it('of a place in the data is told as such', async () => {
    edit(newest(), (record) => ({ ...record, position: { epoch: 0, index: 1e6 } }));
    const { code, err } = await train('damaged', '--resume', 'latest', '--steps', '6');
    expect(code).toBe(1);
    expect(err).not.toContain('bug');
    expect(err).toContain('1000000');
  });

  it.each([
    ['{"step": 1}', 'epoch is missing'],
    ['{"step": "1"}', 'step is "1"'],
    ['[]', 'step is missing'],
    ['\0\0\0', 'not valid JSON'],
  ])('of metrics.jsonl, %j, is told with its line', async (line, why) => {
    const [first] = readFileSync(path('damaged/metrics.jsonl'), 'utf8').split('\n');
    writeFileSync(path('damaged/metrics.jsonl'), `${first}\n${line}\n`);
    const { code, err } = await train('damaged', '--resume', 'latest', '--steps', '6');
    expect(code).toBe(1);
    expect(err).toMatch(/^damaged\/metrics\.jsonl:2 — the line is no record of metrics$/m);
    expect(err).toContain(why);
    expect(err).toContain('fix: remove the line, or move the file away');
  });
});
