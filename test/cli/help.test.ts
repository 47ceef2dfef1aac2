/**
 * `--help`: every command, option and example that it names.
 * @once
 */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { knownDevices } from '../../library/device.ts';
import { ditc, spawnDitc } from './cli.ts';

const COMMANDS = [
  'build',
  'run',
  'sample',
  'invert',
  'train',
  'encode',
  'decode',
  'eval',
  'convert',
  'merge',
  'verify',
  'inspect',
  'opt',
  'doctor',
];

describe('help', () => {
  it.each(COMMANDS)('of %s has a sentence, every option explained, and examples', async (command) => {
    const { code, out, err } = await ditc([command, '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(new RegExp(`^Usage: ditc ${command} `));
    expect(out.split('\n')[2]).toMatch(/^[A-Z]/);
    expect(out.match(new RegExp(`^  \\$ ditc ${command}\\b`, 'gm'))?.length).toBeGreaterThanOrEqual(2);
    // An option without a text would be followed by the end of its line.
    expect(out).not.toMatch(/^ {2}(-\w, )?--[\w-]+( <\S+>| \[\S+\])?$/m);
  });

  it('of build names the devices', async () => {
    const { out } = await ditc(['build', '--help']);
    for (const name of ['here', ...knownDevices()]) expect(out).toContain(name);
  });

  it('lists all commands and the exit codes', async () => {
    const { code, out } = await ditc(['--help']);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    expect(out).toContain('Exit codes: 0');
  });

  it('is what a call without a command gets, as an error', async () => {
    const { code, out, err } = await ditc([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain('Usage: ditc');
  });
});

describe('the bin', () => {
  it('works from another folder', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    const [help, printed] = await Promise.all([
      spawnDitc(['build', '--help'], tmpdir()),
      spawnDitc(['--version'], tmpdir()),
    ]);
    expect(help).toMatchObject({ code: 0, err: '' });
    expect(help.out).toContain('ditc build models/dit-xl.ts');
    expect(printed).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });
});

describe('wrong use exits with 2 and says what to do', () => {
  const fails: [args: string[], what: string, fix: string][] = [
    [['biuld'], "unknown command 'biuld'", 'did you mean build?'],
    [['build', 'm.ts', '--bacth', '2'], "unknown option '--bacth'", 'did you mean --batch? see ditc build --help'],
    [['build'], "missing required argument 'model'", 'see ditc build --help'],
    [['build', 'm.ts', 'n.ts'], 'too many arguments', 'see ditc build --help'],
    [['build', 'm.ts', '--batch', '0'], '--batch is 0', 'give a whole number from 1 to 65535'],
    [['build', 'm.ts', '--batch', '1.5'], '--batch is 1.5', 'give a whole number'],
    [['build', 'm.ts', '--dtype', 'f8'], '--dtype is f8', 'use f32'],
    [['build', 'm.ts', '--device', 'toaster'], '--device: toaster is not a known device', 'use here, portable'],
    [['build', 'models/digits.ts', '--print-ir=nothing'], 'no pass nothing', 'use one of trace'],
    [['run', 'm.ts', '--out', 'o'], "required option '--entry <name>' not specified", 'see ditc run --help'],
    [['run', 'm.ts', '--entry', 'f', '--out', 'o', '--input', 'x'], '--input is x', 'write NAME=FILE.npy'],
  ];
  it.each(fails)('%j', async (args, what, fix) => {
    const { code, out, err } = await ditc(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    const [first, ...rest] = err.trimEnd().split('\n');
    expect(first).toContain(what);
    expect(rest.join('\n')).toMatch(/^ {3}fix: /);
    expect(rest.join('\n')).toContain(fix);
  });

  it('as JSON too', async () => {
    const { code, out, err } = await ditc(['build', 'm.ts', '--batch', 'x', '--json']);
    expect({ code, err }).toEqual({ code: 2, err: '' });
    const fix = 'give a whole number from 1 to 65535';
    expect(JSON.parse(out)).toEqual({ error: { code: 'usage', what: '--batch is x', fix } });
  });
});
