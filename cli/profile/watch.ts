/** When kernels were compiled and weights written, side by side, while a program was made. */
import type { OnCompiled } from '../../runtime/pipelines.ts';
import type { Span } from '../../runtime/timing.ts';
import type { OnWeights } from '../../runtime/weights.ts';
import type { Preparation } from './trace.ts';

export class Watch {
  readonly #began = performance.now();
  readonly #weights: { name: string; span: Span }[] = [];
  #kernels: Preparation['kernels'] = { count: 0, span: [this.#began, this.#began] };

  readonly onKernels: OnCompiled = ({ done }) => {
    this.#kernels = { count: done, span: [this.#began, performance.now()] };
  };

  readonly onWeights: OnWeights = ({ name }) => {
    const from = this.#weights.at(-1)?.span[1] ?? this.#began;
    this.#weights.push({ name, span: [from, performance.now()] });
  };

  seen(): Preparation {
    return { kernels: this.#kernels, weights: this.#weights };
  }
}
