/** Samples of a latent model on their way to pictures: decoded, batch by batch, before they go where samples go. */
import type { OpenDevice } from '../../runtime/device.ts';
import { withWeights } from '../gpu.ts';
import { computationOf, digestsOf } from '../sample/record.ts';
import type { Sink } from '../sample-sinks.ts';
import type { Samples } from '../../runtime/sample.ts';
import type { Terminal } from '../terminal.ts';
import { Coder, loadAutoencoder, weightsOf, type Autoencoder } from './autoencoder.ts';
import { checkLatents, decodeSamples } from './decode.ts';

interface Into {
  readonly open: OpenDevice;
  readonly count: number;
  readonly terminal: Terminal;
  readonly nonFinite: 'refuse' | 'note';
}

export class LatentDecoder {
  private constructor(
    private readonly vae: Autoencoder,
    private readonly weights: string,
  ) {}

  /** The model file of the autoencoder, and its weights unless they lie beside it. */
  static load(path: string, weights: string | undefined, terminal: Terminal): LatentDecoder {
    const vae = loadAutoencoder(path, terminal);
    return new LatentDecoder(vae, weightsOf(vae, path, weights, '--vae-weights'));
  }

  /** Throws unless samples [C,h,w] of the model can be decoded, and the pictures go into the sink. */
  check(sink: Sink, name: string, shape: readonly number[]): void {
    checkLatents(this.vae, shape, name);
    sink.check(this.vae.loaded.model, this.vae.loaded.name, this.vae.picture);
  }

  /** What the pictures depend on in it. */
  async record(): Promise<{ readonly computation: string; readonly weights: readonly string[] }> {
    return { computation: computationOf(this.vae.loaded, ['decode'], {}), weights: await digestsOf(this.weights) };
  }

  /** What takes samples, for the time of `work`. */
  async into<T>(
    sink: Sink,
    { open, count, terminal, nonFinite }: Into,
    work: (add: (samples: Samples) => Promise<void>) => Promise<T>,
  ): Promise<T> {
    return withWeights(this.weights, async (weights) => {
      const coder = await Coder.open(open, this.vae, 'decode', { weights: weights!, count, nonFinite }, terminal);
      try {
        return await work(async (samples) => {
          for await (const made of decodeSamples(coder, this.vae, samples)) await sink.add(made);
        });
      } finally {
        coder.close();
      }
    });
  }
}
