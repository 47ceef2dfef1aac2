/**
 * `metrics.jsonl`: a record per line, appended as training goes. What a clock says is kept apart under `wall`, so the rest of
 * a resumed run's file equals that of a run that never stopped.
 */
import { appendFileSync, closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync } from 'node:fs';
import { DitcError } from '../compiler/ir/error.ts';
import { fileError } from '../library/file-error.ts';

/** What one step measured. A number that is not finite is stored as null, and so is what the model does not measure. */
export interface MetricsRecord {
  /** Steps done. */
  readonly step: number;
  readonly epoch: number;
  readonly loss: number | null;
  readonly mse: number | null;
  readonly vb: number | null;
  /** The loss on examples that are not trained on, where it was measured at this step. */
  readonly val?: number | null;
  /** The same by equal slices of the timesteps, the least noisy first; null where no example fell. */
  readonly buckets?: { readonly mse: readonly (number | null)[]; readonly vb?: readonly (number | null)[] };
  /** What else the model measures, by its own names. */
  readonly more?: Readonly<Record<string, number | null>>;
  readonly gradNorm: number | null;
  readonly lr: number;
  /** Where the loss is scaled: by what after the step, and the steps left out so far because a gradient was not finite. */
  readonly lossScale?: number;
  readonly skipped?: number;
  readonly wall: {
    /** When it was written, ISO 8601. */
    readonly time: string;
    readonly imagesPerSecond: number;
  };
}

interface Line {
  /** Byte offsets of the line, its newline included. */
  readonly start: number;
  readonly end: number;
  readonly record: MetricsRecord;
}

/** The file's lines. A last line without its newline is what a crash left: it is not one. */
function readLines(path: string): Line[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw fileError(path, 'cannot read the metrics', error);
  }
  const lines: Line[] = [];
  for (let start = 0, end: number; (end = bytes.indexOf(10, start) + 1) > 0; start = end) {
    const text = bytes.toString('utf8', start, end);
    lines.push({ start, end, record: parse(text, path, lines.length + 1) });
  }
  return lines;
}

type Check = (value: unknown) => boolean;

const isNumber: Check = (value) => typeof value === 'number';
/** What is not measured is null or left out. */
const isMeasured: Check = (value) => value === undefined || value === null || isNumber(value);
const isObject: Check = (value) => typeof value === 'object' && value !== null;
const are =
  (check: Check): Check =>
  (value) =>
    isObject(value) && Object.values(value as object).every(check);
const orNone =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const isList: Check = (value) => Array.isArray(value) && value.every(isMeasured);

const FIELDS: Readonly<Record<keyof MetricsRecord, Check>> = {
  step: Number.isSafeInteger,
  epoch: isNumber,
  loss: isMeasured,
  mse: isMeasured,
  vb: isMeasured,
  val: isMeasured,
  buckets: orNone(
    (value) => isObject(value) && isList((value as never)['mse']) && orNone(isList)((value as never)['vb']),
  ),
  more: orNone(are(isMeasured)),
  gradNorm: isMeasured,
  lr: isNumber,
  lossScale: isMeasured,
  skipped: isMeasured,
  wall: (value) =>
    isObject(value) && isNumber((value as never)['imagesPerSecond']) && !isNaN(Date.parse((value as never)['time'])),
};

function parse(text: string, path: string, line: number): MetricsRecord {
  const damaged = (why: string) =>
    new DitcError({
      code: 'bad-format',
      where: `${path}:${line}`,
      what: 'the line is no record of metrics',
      why,
      fix: 'remove the line, or move the file away',
    });
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    throw damaged((error as Error).message);
  }
  if (!isObject(record)) throw damaged('it is no object');
  const fields = record as Record<string, unknown>;
  const wrong = Object.entries(FIELDS).find(([name, check]) => !check(fields[name]));
  if (wrong) throw damaged(`${wrong[0]} is ${JSON.stringify(fields[wrong[0]])?.slice(0, 40) ?? 'missing'}`);
  return record as MetricsRecord;
}

export const readMetrics = (path: string): MetricsRecord[] => readLines(path).map(({ record }) => record);

/** Appends records to a file. Each is in the system's hands when `add` returns, and so outlives this process. */
export class MetricsWriter {
  #last: number;

  /**
   * `after` is the number of steps done: 0, or the step of the checkpoint that training goes on from. Records of later
   * steps, which will be made again, are cut off; so is the piece of a line that a crash left.
   * @throws DitcError `bad-format` for a file with other lines in it, `io` when it cannot be written.
   */
  constructor(
    private readonly path: string,
    after: number,
  ) {
    this.#last = after;
    const lines = existsSync(path) ? readLines(path) : [];
    const kept = lines.findIndex(({ record }) => record.step > after);
    const end = kept < 0 ? (lines.at(-1)?.end ?? 0) : lines[kept].start;
    this.#write(() => {
      appendFileSync(path, ''); // makes it, and tells now whether it can be written
      truncateSync(path, end);
    });
  }

  /** Steps must grow from record to record. */
  add(record: MetricsRecord): void {
    if (!(record.step > this.#last)) throw new RangeError(`step ${record.step} after ${this.#last}`);
    this.#last = record.step;
    this.#write(() => appendFileSync(this.path, `${JSON.stringify(record)}\n`));
  }

  /** Returns when all records are on the disk: a checkpoint must not outlive those of its steps. */
  sync(): void {
    this.#write(() => {
      const file = openSync(this.path, 'r+');
      try {
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
    });
  }

  #write(action: () => void): void {
    try {
      action();
    } catch (error) {
      throw fileError(this.path, 'cannot write the metrics', error);
    }
  }
}
