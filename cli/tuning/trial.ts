/**
 * A dispatch on which plans are tried: from the values that a run has brought there, each kernel is run by itself and its results
 * are held against the reference before it may be timed.
 */
import type { KernelSpec } from '../../compiler/emit/artefact.ts';
import { kernelText } from '../../compiler/emit/build.ts';
import { macsOf } from '../../compiler/emit/describe.ts';
import { regionGraph } from '../../compiler/emit/region-graph.ts';
import { operandsOf } from '../../compiler/fusion/regions.ts';
import { sizeOf, type Graph } from '../../compiler/ir/index.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import { lower } from '../../compiler/plans/lower.ts';
import type { Plan } from '../../compiler/plans/registry.ts';
import type { Step } from '../../runtime/replay.ts';
import type { Stepper } from '../../runtime/stepper.ts';
import type { Repeated } from '../../runtime/timing.ts';
import type { Values } from '../../runtime/transfer.ts';
import { asValues, judge, reference, specOf, type Job } from '../verify/check.ts';
import { compare, toleranceOf } from '../verify/compare.ts';
import { resourcesOf } from '../verify/resources.ts';

/** What results are held against. */
export type Judge = 'interpreter' | 'own plan';

/** Steps of the interpreter, which does some tens of millions a second, that a check may take. */
const MOST_STEPS = 3e8;

export class Trial {
  readonly judge: Judge;
  /** The dispatch by the plan that it has. */
  readonly own: Step;
  readonly #stepper: Stepper;
  readonly #job: Job;
  readonly #device: DeviceSpec;
  readonly #graph: Graph;
  readonly #inputs: Readonly<Record<string, Values>>;
  #want: readonly (Float64Array | Values)[] = [];

  private constructor(stepper: Stepper, job: Job, device: DeviceSpec, graph: Graph, inputs: Record<string, Values>) {
    this.#stepper = stepper;
    this.#job = job;
    this.#device = device;
    this.#graph = graph;
    this.#inputs = inputs;
    this.own = stepper.step(job.index);
    const { members } = job.region;
    const steps = members.reduce((sum, { type }) => sum + sizeOf(type.shape), macsOf(job.region));
    this.judge = steps <= MOST_STEPS ? 'interpreter' : 'own plan';
  }

  /** Those before the dispatch have run. */
  static async of(stepper: Stepper, job: Job, device: DeviceSpec): Promise<Trial> {
    const graph = regionGraph(job.region);
    const lies = resourcesOf(job.region, job.dispatch);
    const inputs: Record<string, Values> = {};
    for (const [i, node] of operandsOf(job.region).entries()) {
      const spec = specOf(graph.inputs[i].attrs.name, graph.inputs[i].type);
      inputs[spec.name] = await stepper.read(spec, lies.get(node)!);
    }
    const trial = new Trial(stepper, job, device, graph, inputs);
    trial.#want = trial.judge === 'interpreter' ? await reference(graph, inputs) : await trial.#results(trial.own);
    return trial;
  }

  /** The dispatch by another plan. @throws RuntimeError `bad-kernel` where the device does not compile it. */
  stepFor(plan: Plan): Promise<Step> {
    const { region, dispatch } = this.#job;
    const kernel = lower(region, plan, this.#device);
    const { spec, wgsl }: { spec: KernelSpec; wgsl: string } = kernelText(dispatch.kernel, kernel, [{ region, plan }]);
    return this.#stepper.stepBy(this.#job.index, { name: dispatch.kernel, spec, wgsl, workgroups: kernel.grid });
  }

  /** Why a step's results are not right; undefined where they are. */
  async wrong(step: Step): Promise<string | undefined> {
    const results = await this.#results(step);
    for (const [i, { name, node }] of this.#graph.outputs.entries()) {
      const difference = compare(results[i], this.#want[i], node.type.shape);
      const { agrees, tolerance } = await this.#judged(difference, i);
      if (agrees) continue;
      const off = Number.isFinite(difference.error) ? difference.error.toExponential(1) : 'infinitely';
      return `${name} is off by ${off}, more than ${tolerance.toExponential(1)}, from the ${this.judge}`;
    }
    return undefined;
  }

  time(repeated: readonly Repeated[]): Promise<number[]> {
    return this.#stepper.time(repeated);
  }

  /** Leaves behind what a run should have: the reference's results, where it has them, so that what follows is judged by itself. */
  async end(): Promise<void> {
    if (this.judge === 'own plan') return void (await this.#results(this.own));
    const { region, dispatch } = this.#job;
    const lies = resourcesOf(region, dispatch);
    for (const [i, { name, node }] of this.#graph.outputs.entries()) {
      const spec = specOf(name, node.type);
      this.#stepper.write(spec, lies.get(region.results[i].node)!, asValues(spec.dtype, this.#want[i]));
    }
  }

  async #judged(difference: ReturnType<typeof compare>, i: number): Promise<{ agrees: boolean; tolerance: number }> {
    if (this.judge === 'interpreter')
      return judge(difference, this.#graph, i, this.#inputs, this.#want[i] as Float64Array, undefined);
    // Each of the two may be off by as much.
    const through = this.#graph.inputs.map((input) => input.type.dtype);
    const tolerance = 2 * toleranceOf(this.#graph.outputs[i].node.type.dtype, through);
    return { agrees: difference.error <= tolerance, tolerance };
  }

  /** What a step computes of the values that were there: what it leaves out is NaN. */
  async #results(step: Step): Promise<Values[]> {
    const { region, dispatch } = this.#job;
    const lies = resourcesOf(region, dispatch);
    const names = new Map(operandsOf(region).map((node, i) => [node, this.#graph.inputs[i]]));
    for (const { node } of region.results) {
      const old = region.replaces.get(node);
      const input = old && names.get(old)!;
      if (!input) this.#stepper.poison(lies.get(node)!);
      else {
        const spec = specOf(input.attrs.name, input.type);
        this.#stepper.write(spec, lies.get(node)!, this.#inputs[spec.name]);
      }
    }
    this.#stepper.submit(step);
    const read = [];
    for (const [i, { name, node }] of this.#graph.outputs.entries())
      read.push(await this.#stepper.read(specOf(name, node.type), lies.get(region.results[i].node)!));
    return read;
  }
}
