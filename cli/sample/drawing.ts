/** What a run of `ditc sample` draws, and where it goes: the classes given, or a part of many pictures. */
import type { LoadedModel } from '../../compiler/frontend/index.ts';
import { SAMPLING_ENTRIES } from '../../runtime/sample.ts';
import { UsageError } from '../errors.ts';
import { pictureSink, type Sink } from '../sample-sinks.ts';
import type { Terminal } from '../terminal.ts';
import { grouped } from '../text.ts';
import type { LatentDecoder } from '../vae/decoding-sink.ts';
import { computationOf, digestsOf, drawingCode } from './record.ts';
import { classesFor, parseShard, type Shard } from './shard.ts';
import { ShardFile } from './shard-file.ts';

interface Asked {
  readonly classes?: readonly number[];
  readonly num?: number;
  readonly shard?: string;
  readonly seed: number;
  readonly out: string;
  readonly weights?: string;
  readonly part?: string;
  readonly dtype?: string;
  readonly columns?: number;
  readonly scale?: number;
  readonly overwrite?: boolean;
}

/** What is known once the model is compiled. */
interface Made {
  readonly loaded: LoadedModel;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly decoder?: LatentDecoder;
  readonly batch: number;
  readonly adapter: string;
}

export class Drawing {
  /** Where a part of many pictures goes; undefined where classes are drawn. */
  readonly shard?: { readonly path: string; readonly sink: Sink };
  readonly #file?: ShardFile;
  readonly #part?: Shard;
  #shape: readonly number[] = [];
  #count = 0;

  constructor(private readonly asked: Asked) {
    if (asked.num === undefined) {
      if (!asked.classes)
        throw new UsageError({ what: 'what to draw is missing', fix: 'give --classes 0-9, or --num 1000' });
      if (asked.shard !== undefined) throw new UsageError({ what: '--shard is for --num', fix: 'add --num N' });
      return;
    }
    const other = (['columns', 'scale', 'overwrite'] as const).find((name) => asked[name] !== undefined);
    if (other) throw new UsageError({ what: `--${other} and --num exclude each other`, fix: `leave --${other} out` });
    if (/\.\w{2,5}$/.test(asked.out)) {
      const fix = 'give a folder, and make a file of it with ditc merge';
      throw new UsageError({ what: `--out is ${asked.out}`, why: '--num writes a folder of parts', fix });
    }
    this.#part = parseShard(asked.shard);
    const file = (this.#file = new ShardFile(asked.out, this.#part));
    const pictures = pictureSink(
      (made) => file.add(made),
      () => file.end(),
      () => file.close(),
    );
    const sink: Sink = {
      ...pictures,
      check: (model, name, shape) => {
        pictures.check(model, name, shape);
        this.#shape = shape;
      },
    };
    this.shard = { path: file.path, sink };
  }

  /** Of all pictures, those of other parts too. */
  classes(known: number | undefined): readonly number[] {
    const { num, classes, seed } = this.asked;
    const all = num === undefined ? classes! : classesFor(num, seed, known, classes);
    this.#count = all.length;
    return all;
  }

  /** The pictures to be drawn now. */
  async begin(
    { loaded, settings, decoder, batch, adapter }: Made,
    terminal: Terminal,
  ): Promise<{ readonly first: number; readonly count: number }> {
    if (!this.#file) return { first: 0, count: this.#count };
    const { classes, seed, weights, part, dtype = 'f32' } = this.asked;
    const [channels, height, width] = this.#shape;
    const run = {
      model: loaded.name,
      computation: computationOf(loaded, SAMPLING_ENTRIES, settings),
      code: drawingCode(),
      weights: await digestsOf(weights),
      part,
      vae: decoder && (await decoder.record()),
      settings,
      dtype,
      seed,
      num: this.#count,
      classes,
      batch,
      shape: [height, width, channels] as const,
    };
    const { first, count, done } = await this.#file.begin(run, adapter);
    const { index, of } = this.#part!;
    if (done && !count) terminal.err(`note: part ${index}/${of} is there already`);
    else if (done)
      terminal.err(
        `note: part ${index}/${of} goes on: ${grouped(done)} of its ${grouped(done + count)} pictures are there`,
      );
    return { first, count };
  }
}
