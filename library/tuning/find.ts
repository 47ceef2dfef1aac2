/** The tuning table that a build uses: the one given, or one in the folder `tuning` beside the model's package.json (or itself). */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import { contractionIn, shapeClass } from '../../compiler/emit/shape-class.ts';
import { DitcError, labelOf } from '../../compiler/ir/index.ts';
import type { CompileOptions } from '../../compiler/pipeline.ts';
import { isRejected } from '../../compiler/plans/family.ts';
import { planFor, planText } from '../../compiler/plans/registry.ts';
import { fileError } from '../file-error.ts';
import { FOLDER, OFF } from './option.ts';
import { shownPath } from './path.ts';
import { adapterOf, isFor, parseTable, type Adapter, type Line, type TuningTable } from './table.ts';

/** A table with the file that it is from. */
export interface FoundTable {
  readonly path: string;
  readonly table: TuningTable;
}

/** Where `ditc tune` writes unless told. */
export const usualTable = (home: string, { name }: DeviceSpec): string => join(home, FOLDER, `${name}.txt`);

/**
 * The table for a device, given or in the `home` of a model; what is found and not used is told.
 * @throws DitcError `io`, `tuning` for a given one that cannot be read.
 */
export function findTable(
  given: string | undefined,
  home: string | undefined,
  device: DeviceSpec,
  tell: (line: string) => void,
): FoundTable | undefined {
  // A portable build runs anywhere: no measurement is of it.
  if (given === OFF || (given === undefined && device.name === PORTABLE.name)) return undefined;
  const own = adapterOf(device);
  if (given !== undefined) {
    const found = readTable(given);
    if (isFor(found.table, own)) return found;
    tell(`${given} is not used: it is ${differs(found.table, own)}`);
    return undefined;
  }
  const tables = home === undefined ? [] : tablesIn(join(home, FOLDER), tell);
  const found = tables.find(({ table }) => isFor(table, own));
  if (found) return found;
  // Tables of other devices lie beside it as a rule; one of another driver is worth making anew.
  const other = tables.find(({ table }) => table.device === own.device);
  if (other) tell(`no tuning table is used: ${shownPath(other.path)} is ${differs(other.table, own)}`);
  return undefined;
}

const differs = (table: Adapter, own: Adapter): string =>
  table.device === own.device
    ? `of the driver ${table.driver}, this is ${own.driver}`
    : `for ${table.device}, this is ${own.device}`;

/** The tables of a folder; what is no table is told, and left out: nobody gave it. */
function tablesIn(folder: string, tell: (line: string) => void): FoundTable[] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return names.sort().flatMap((name) => {
    try {
      return [readTable(join(folder, name))];
    } catch (error) {
      if (!(error instanceof DitcError)) throw error;
      tell(`${shownPath(join(folder, name))} is not used: ${error.why ?? error.what}`);
      return [];
    }
  });
}

export function readTable(path: string): FoundTable {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError(path, 'cannot read the tuning table', error);
  }
  return { path, table: parseTable(text, path) };
}

/**
 * What a compilation is told of a table: plans for the kernels that it has a line for and that the plan is legal for. Contractions are asked
 * for while it is decided what is fused with them; a line of the same contraction then stands for what it may become.
 */
export class Tuning {
  readonly #found: FoundTable;
  /** Of lines whose plan is none for a kernel, why. */
  readonly #refused = new Map<number, string>();

  constructor(found: FoundTable) {
    this.#found = found;
  }

  readonly plan: NonNullable<CompileOptions['plan']> = (region, device) => {
    const kind = shapeClass(region, device);
    const isWhole = 'replaces' in region;
    const line = this.#found.table.lines.get(kind) ?? (isWhole || !region.anchor ? undefined : this.#alike(kind));
    if (!line) return undefined;
    const answer = planFor(region, device, line.plan);
    if (!isRejected(answer)) return line.plan;
    if (isWhole)
      this.#refused.set(line.at, `${planText(line.plan)} does not compute ${labelOf(region.root)}: ${answer.rejected}`);
    return undefined;
  };

  /** The line of the same contraction: with the same ops fused to it where there is one, else the first. */
  #alike(kind: string): Line | undefined {
    const [contraction, ops] = contractionIn(kind);
    const { lines } = this.#found.table;
    const alike = [...lines].filter(([other]) => contractionIn(other)[0] === contraction);
    return (alike.find(([other]) => contractionIn(other)[1] === ops) ?? alike[0])?.[1];
  }

  /** What was refused, for people, once all is compiled. */
  refused(): string[] {
    const path = shownPath(this.#found.path);
    return [...this.#refused].map(([at, why]) => `${path}:${at}: ${why}; the compiler's own plan is used`);
  }
}
