/**
 * Event files, which TensorBoard reads: records of a length and its sum, an Event of TensorFlow's protocol buffers, and its sum.
 * Each process writes a file of its own; where a training goes on from a checkpoint, its first event takes back those of later steps.
 */
import { appendFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { PbfWriter } from 'pbf';
import { fileError } from '../library/file-error.ts';
import { crc32c } from '../runtime/checkpoint/crc32.ts';
import type { MetricsRecord } from './metrics.ts';

/** What happened at a step. Seconds since 1970, as the field has them. */
export interface Event {
  readonly time: number;
  readonly step?: number;
  /** Of the first event of a file. */
  readonly version?: string;
  /** Events of this step and later ones are taken back. */
  readonly restart?: boolean;
  readonly scalars?: Readonly<Record<string, number>>;
  /** PNGs. */
  readonly images?: Readonly<Record<string, Uint8Array>>;
}

/** Numbers of the fields, as event.proto and summary.proto have them. */
const EVENT = { time: 1, step: 2, version: 3, summary: 5, session: 7 };
const SESSION = { status: 1 };
const START = 1;
const SUMMARY = { value: 1 };
const VALUE = { tag: 1, simple: 2, image: 4 };
const IMAGE = { height: 1, width: 2, colorspace: 3, encoded: 4 };

function writeEvent({ time, step, version, restart, scalars = {}, images = {} }: Event, to: PbfWriter): void {
  to.writeDoubleField(EVENT.time, time);
  if (step) to.writeVarintField(EVENT.step, step);
  if (version !== undefined) to.writeStringField(EVENT.version, version);
  const values = [...Object.entries(scalars), ...Object.entries(images)];
  if (values.length)
    to.writeMessage(EVENT.summary, (list, pbf) => list.forEach((value) => pbf.writeMessage(SUMMARY.value, writeValue, value)), values); // prettier-ignore
  if (restart) to.writeMessage(EVENT.session, (status, pbf) => pbf.writeVarintField(SESSION.status, status), START);
}

function writeValue([tag, value]: readonly [string, number | Uint8Array], to: PbfWriter): void {
  to.writeStringField(VALUE.tag, tag);
  if (typeof value === 'number') to.writeFloatField(VALUE.simple, value);
  else to.writeMessage(VALUE.image, writeImage, value);
}

/** Its size and channels are told by its header: after the signature, the length and `IHDR`. */
function writeImage(png: Uint8Array, to: PbfWriter): void {
  const header = new DataView(png.buffer, png.byteOffset, png.byteLength);
  to.writeVarintField(IMAGE.height, header.getUint32(20));
  to.writeVarintField(IMAGE.width, header.getUint32(16));
  const isGrey = header.getUint8(25) === 0;
  to.writeVarintField(IMAGE.colorspace, isGrey ? 1 : 3);
  to.writeBytesField(IMAGE.encoded, png);
}

/** The sum of bytes as records have it: masked, as records may hold records. */
function maskedSum(bytes: Uint8Array): number {
  const sum = crc32c(bytes);
  return (((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0;
}

/** An event as a record of a file. */
export function encodeEvent(event: Event): Uint8Array {
  const pbf = new PbfWriter();
  writeEvent(event, pbf);
  const data = pbf.finish();
  const record = new Uint8Array(8 + 4 + data.length + 4);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedSum(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedSum(data), true);
  return record;
}

/** The single numbers of a record, by the names of their charts. */
export function scalarsOf({
  loss,
  mse,
  vb,
  val,
  buckets,
  more,
  gradNorm,
  lr,
  lossScale,
  skipped,
  wall,
}: MetricsRecord) {
  const named = {
    loss,
    mse,
    vb,
    val,
    gradNorm,
    lr,
    lossScale,
    skipped,
    ...more,
    imagesPerSecond: wall.imagesPerSecond,
  };
  const parts = Object.entries(buckets ?? {}).flatMap(([name, values]) =>
    values.map((value, part) => [`${name} by timestep/${part + 1} of ${values.length}`, value] as const),
  );
  const measured = [...Object.entries(named), ...parts].filter(
    (pair): pair is [string, number] => typeof pair[1] === 'number',
  );
  return Object.fromEntries(measured);
}

const PREFIX = 'events.out.tfevents.';

/** Removes the event files of a folder: those of a training that is begun anew. */
export function forgetEvents(folder: string): void {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names) if (name.startsWith(PREFIX)) rmSync(join(folder, name));
}

/** Writes a file into a folder. Each event is in the system's hands when it has been added. */
export class EventWriter {
  readonly #path: string;

  /** `after` is the number of steps done. @throws DitcError `io` when it cannot be written. */
  constructor(folder: string, after: number) {
    const time = Date.now() / 1000;
    this.#path = join(folder, `${PREFIX}${Math.floor(time)}.${hostname()}.${process.pid}`);
    this.#append({ time, version: 'brain.Event:2' });
    if (after) this.#append({ time, step: after + 1, restart: true });
  }

  add(record: MetricsRecord): void {
    this.#append({ time: Date.parse(record.wall.time) / 1000, step: record.step, scalars: scalarsOf(record) });
  }

  addSamples(step: number, png: Uint8Array): void {
    this.#append({ time: Date.now() / 1000, step, images: { samples: png } });
  }

  #append(event: Event): void {
    try {
      appendFileSync(this.#path, encodeEvent(event));
    } catch (error) {
      throw fileError(this.#path, 'cannot write the events', error);
    }
  }
}
