/**
 * A tuning table as text: which device and driver it was measured on, then a line for each class of kernels (shape-class.ts) with
 * the plan that was fastest. Lines are sorted, so tables can be committed and compared.
 */
import { DitcError } from '../../compiler/ir/error.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import { FAMILIES, planText, type Plan } from '../../compiler/plans/registry.ts';

/** What must be the same for a table to hold. */
export interface Adapter {
  readonly device: string;
  readonly driver: string;
}

export interface Line {
  readonly plan: Plan;
  /** Where it stands in the file, from 1. */
  readonly at: number;
}

export interface TuningTable extends Adapter {
  /** By class. */
  readonly lines: ReadonlyMap<string, Line>;
}

/** The driver's own words for itself say its version too. */
export const adapterOf = ({ name, description = '', backend = '' }: DeviceSpec): Adapter => ({
  device: name,
  driver: [description, backend].filter(Boolean).join(', ') || 'unknown',
});

export const isFor = (table: Adapter, { device, driver }: Adapter): boolean =>
  table.device === device && table.driver === driver;

const HEAD = `# Plans measured by ditc tune, for builds to use: class of kernels => the fastest plan (docs/tuning.md).
# A line that is taken out is not used; the device and the driver must be these.`;
const ARROW = ' => ';

export function tableText({ device, driver }: Adapter, plans: ReadonlyMap<string, Plan>): string {
  const lines = [...plans].map(([kind, plan]) => `${kind}${ARROW}${planText(plan)}`).sort();
  return [HEAD, `device ${device}`, `driver ${driver}`, '', ...lines, ''].join('\n');
}

/** @throws DitcError `tuning`, with the line, for what `tableText` does not write. */
export function parseTable(text: string, where: string): TuningTable {
  const head = new Map<string, string>();
  const lines = new Map<string, Line>();
  for (const [i, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    const wrong = (why: string) => badLine(`${where}:${i + 1}`, why);
    if (!line || line.startsWith('#')) continue;
    const [, key, value] = /^(device|driver) (.+)$/.exec(line) ?? [];
    if (key && !line.includes(ARROW)) {
      if (head.has(key)) throw wrong(`the ${key} is told twice`);
      head.set(key, value);
      continue;
    }
    const [kind, plan, ...more] = line.split(ARROW);
    if (plan === undefined || more.length) throw wrong('it is not CLASS => PLAN');
    if (lines.has(kind)) throw wrong(`line ${lines.get(kind)!.at} is of the same class`);
    lines.set(kind, { plan: parsePlan(plan, wrong), at: i + 1 });
  }
  for (const key of ['device', 'driver'])
    if (!head.has(key)) throw badLine(where, `it does not say its ${key}: a line "${key} …" is missing`);
  return { device: head.get('device')!, driver: head.get('driver')!, lines };
}

/** Throws where no family has the name; what it makes of the numbers is asked when there is a kernel to ask for. */
function parsePlan(text: string, wrong: (why: string) => DitcError): Plan {
  const [family, ...pairs] = text.trim().split(/\s+/);
  if (!FAMILIES.some(({ name }) => name === family)) throw wrong(`there is no plan family ${family}`);
  const geometry = pairs.map((pair) => {
    const [, key, value] = /^(\w+)=(.+)$/.exec(pair) ?? [];
    if (!key || key === 'family') throw wrong(`${pair} is not KEY=VALUE`);
    return [key, valueOf(value)] as const;
  });
  return { family, ...Object.fromEntries(geometry) };
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const badLine = (where: string, why: string): DitcError =>
  new DitcError({
    code: 'tuning',
    where,
    what: 'the tuning table cannot be read',
    why,
    fix: 'take the line out, make the table anew with ditc tune, or leave it out with --tuning off',
  });
