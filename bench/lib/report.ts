/** What every script takes and prints: --help, --rounds, --json, a table for people and a file for scripts. */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { table } from '../../cli/text.ts';
import { dawnVersion } from '../../runtime/node/dawn.ts';
import type { DeviceSpec } from '../../runtime/index.ts';
import type { Measured, Sample } from './measure.ts';

const COMMON = {
  rounds: { type: 'string', default: '7' },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const COMMON_HELP = `  --rounds N    turns that everyone takes (7)
  --json FILE   also write the results there
  -h, --help`;

/** The options of a script, and at least `least` model files; ends the process after --help (0) or for a wrong call (2). */
export function options<T extends NonNullable<ParseArgsConfig['options']>>(help: string, own: T, least = 0) {
  try {
    const parsed = parseArgs({ options: { ...own, ...COMMON }, allowPositionals: true });
    const { values, positionals } = parsed as unknown as {
      values: Record<string, string | boolean | undefined>;
      positionals: string[];
    };
    if (values.help) {
      console.log(`${help}\n${COMMON_HELP}`);
      process.exit(0);
    }
    if (positionals.length < least) throw new Error('name a model file');
    const count = (name: string): number => {
      const value = Number(values[name]);
      if (Number.isInteger(value) && value > 0) return value;
      throw new Error(`--${name} is ${values[name]}: give a whole number of at least 1`);
    };
    return {
      positionals,
      count,
      flag: (name: keyof T & string) => values[name] === true,
      text: (name: keyof T & string) => values[name] as string | undefined,
      rounds: count('rounds'),
      json: values.json as string | undefined,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${help}\n${COMMON_HELP}`);
    process.exit(2);
  }
}

/** The machine, in the words that a reader of the figures needs. */
export function machine(spec: DeviceSpec): Record<string, string | number> {
  return {
    adapter: spec.description,
    device: spec.name,
    profile: spec.profile,
    dawn: dawnVersion(),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
  };
}

const number = (x: number) => (x >= 100 ? x.toFixed(0) : x.toPrecision(3));

/** A table of samples with the ratio of each to the first, and columns of one's own. */
export function sampleTable(measured: Measured, extra: Record<string, (sample: Sample) => string> = {}): string {
  const [first] = measured.samples;
  const head = ['', 'ms: min', 'median', 'max', `÷ ${first.name}`, ...Object.keys(extra)];
  const rows = measured.samples.map((sample) => [
    sample.name,
    number(sample.min),
    number(sample.median),
    number(sample.max),
    `${(sample.median / first.median).toFixed(2)}×`,
    ...Object.values(extra).map((cell) => cell(sample)),
  ]);
  return table([head, ...rows], new Set([...head.keys()].slice(1))).join('\n');
}

/** `llvmpipe … · load 0.12 → 1.87 of 2 cores` */
export const footer = ({ load }: Pick<Measured, 'load'>, spec: DeviceSpec): string =>
  `${spec.description} · load ${load[0].toFixed(2)} → ${load[1].toFixed(2)} of ${cpus().length} cores\n`;

export const gflops = (macs: number, ms: number): string => number((2 * macs) / ms / 1e6);

export const gigabytes = (bytes: number, ms: number): string => number(bytes / ms / 1e6);

export function writeJson(file: string | undefined, results: unknown): void {
  if (file) writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
}
