/**
 * From a picture to the noise that a sampler makes it of, as graphs: the flow that DDIM and the samplers of flow matching follow,
 * followed the other way. What comes of the noise is the picture again, the nearer the more steps are taken. Song et al. 2021, section 4.3.
 */
import { constant, type Entry, type EntryFunction } from '../compiler/dsl/index.ts';
import { misconfigured } from './config.ts';
import { askedAt, objectiveOf, samplingOptions, sidesOf, type Denoiser } from './diffusion.ts';

/**
 * Noise of N pictures. `invertStart` takes the pictures and sets `step` to 0; each `invertStep` takes x one step towards noise. After
 * T' of them x is the noise. Options are those of `samplingEntries`, with a sampler that draws nothing.
 *
 * State: x [N,C,I,I], step i32[], the same as of `samplingEntries`. Inputs: of `invertStart` images f32[N,C,I,I]; of `invertStep` y i32[N],
 * cfgScale f32[] and the model's conditions.
 */
export function inversionEntries(model: Denoiser): Record<'invertStart' | 'invertStep', EntryFunction> {
  const objective = objectiveOf(model);
  const setUp = (e: Entry) => {
    const options = samplingOptions(e.options, objective, model);
    const inverter = objective.inverters[options.sampler];
    if (!inverter) {
      const fix = `use one of ${Object.keys(objective.inverters).join(', ')}`;
      throw misconfigured(
        `sampler is ${JSON.stringify(options.sampler)}`,
        'it has no way from a picture to noise',
        fix,
      );
    }
    const way = objective.wayToNoise(options.steps, e.options);
    const image = [e.batch, model.channels, ...sidesOf(model.size)];
    return { options, inverter, way, x: e.state('x', image), step: e.counter('step', way.shares.length) };
  };
  return {
    invertStart(e) {
      const { x, step } = setUp(e);
      e.update(x, e.input('images', x.shape));
      e.update(step, constant(0, [], 'i32'));
    },
    invertStep(e) {
      const { options, inverter, way, x, step } = setUp(e);
      const y = e.input('y', [e.batch], 'i32', { classes: model.classes });
      const at = askedAt(e, model, way, { y, step, options });
      e.update(x, inverter.step({ ...at, x }));
      e.update(step, step.add(1));
    },
  };
}
