/** Devices to compile for: by name, from a file, or the one of this machine. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { PORTABLE, type DeviceSpec } from '../compiler/device.ts';
import { DitcError } from '../compiler/ir/error.ts';
import { UsageError } from './usage-error.ts';
import { fileError } from './file-error.ts';

const SPECS = new URL('../compiler/specs/', import.meta.url);

/** What `--device` calls the adapter of this machine, the one that `ditc doctor` shows. */
export const HERE = 'here';

/** The devices that `--device` has a spec of, by name. */
export function knownDevices(): string[] {
  const files = existsSync(SPECS) ? readdirSync(SPECS) : [];
  const names = files.flatMap((file) => (file.endsWith('.json') ? [file.slice(0, -5)] : []));
  return [...new Set([PORTABLE.name, ...names.sort()])];
}

/**
 * The device that `--device` names: `portable`, one of compiler/specs, `here`, a JSON file (doctor's will do), or
 * JSON.
 */
export async function findDevice(given: string): Promise<DeviceSpec> {
  if (given === HERE) return adapterHere();
  return specOf(given);
}

/** A device that has a spec: any but `here`. */
export function specOf(given: string): DeviceSpec {
  if (given === PORTABLE.name) return PORTABLE;
  if (given.startsWith('{')) return parseSpec(given, '--device');
  if (knownDevices().includes(given)) return readSpec(new URL(`${given}.json`, SPECS), given);
  if (given.endsWith('.json')) return readSpec(given, given);
  const fix = `use ${[HERE, ...knownDevices()].join(', ')}, or the path of a .json file (ditc doctor --json writes one)`;
  throw new UsageError({ what: `--device: ${given} is not a known device`, fix });
}

async function adapterHere(): Promise<DeviceSpec> {
  const { findAdapter } = await import('../runtime/node/adapter.ts');
  const { spec, close } = await findAdapter();
  close();
  return spec;
}

function readSpec(file: string | URL, where: string): DeviceSpec {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw fileError(where, 'cannot read the device', error);
  }
  return parseSpec(text, where);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const isMatrixShape = (shape: unknown): boolean =>
  isObject(shape) &&
  ['componentType', 'resultComponentType'].every((key) => typeof shape[key] === 'string') &&
  ['M', 'N', 'K'].every((key) => Number.isInteger(shape[key]) && Number(shape[key]) > 0);

const wrongSpec = (where: string, what: string, why: string) =>
  new DitcError({ code: 'device-spec', where, what, why, fix: 'write it with ditc doctor --json > FILE' });

function parseSpec(text: string, where: string): DeviceSpec {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw wrongSpec(where, 'it is not JSON', (error as Error).message);
  }
  return checkSpec(json, where);
}

/** What `ditc doctor --json` writes, or the device in it. Throws, naming `where`, for what is none. */
export function checkSpec(json: unknown, where: string): DeviceSpec {
  const wrong = (what: string, why: string) => wrongSpec(where, what, why);
  const spec = isObject(json) && 'adapter' in json ? json.adapter : json;
  if (!isObject(spec)) throw wrong('it is not a device', 'it must be an object with name, kind, features and limits');
  const { name, kind, features, limits, subgroups = null, subgroupMatrix = [], sources = {} } = spec;
  if (typeof name !== 'string' || !name) throw wrong('it is not a device', 'its name must be text');
  if (kind !== 'hardware' && kind !== 'software' && kind !== 'null') {
    throw wrong('it is not a device', 'its kind must be "hardware", "software" or "null"');
  }
  if (!Array.isArray(features) || !features.every((f) => typeof f === 'string')) {
    throw wrong('it is not a device', 'its features must be a list of names');
  }
  if (!isObject(limits) || !Object.values(limits).every((n) => typeof n === 'number' && n > 0)) {
    throw wrong('it is not a device', 'its limits must be positive numbers by name');
  }
  const sizes = isObject(subgroups) ? [subgroups.min, subgroups.max] : [];
  if (subgroups !== null && !(sizes.length && sizes.every((n) => Number.isInteger(n) && (n as number) > 0))) {
    throw wrong('it is not a device', 'its subgroups must be null or {"min": …, "max": …}');
  }
  if (!Array.isArray(subgroupMatrix) || !subgroupMatrix.every(isMatrixShape)) {
    const why = 'its subgroupMatrix must be a list of {"componentType", "resultComponentType", "M", "N", "K"}';
    throw wrong('it is not a device', why);
  }
  if (!isObject(sources) || !Object.values(sources).every((source) => typeof source === 'string')) {
    throw wrong(
      'it is not a device',
      'its sources must say in words where capabilities, subgroupMatrix and rates come from',
    );
  }
  return { ...spec, subgroups } as DeviceSpec;
}
