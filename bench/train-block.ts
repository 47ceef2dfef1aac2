/**
 * A training step of one DiT-S/2 adaLN-Zero block: the mean squared error to a target, its gradient by all weights, AdamW, and the moving
 * average of the weights. models/dit.ts's block and models/optimizer.ts's step, compiled by ditc; and the same in jax-js, jitted
 * as a whole, and in tfjs, which runs op by op. Nobody is timed whose losses and weights are not ditc's.
 */
import type { EntryFunction } from '../compiler/dsl/index.ts';
import { compileModel } from '../compiler/compile.ts';
import { blocks } from '../models/dit.ts';
import { optimize, optimizerOptions, startOptimizer } from '../models/optimizer.ts';
import { openDevice, Program, type OpenDevice } from '../runtime/index.ts';
import { findAdapter } from '../runtime/node/adapter.ts';
import { config, data, TOKENS, type Shapes } from './lib/block-data.ts';
import { mustBeWithin, relativeError } from './lib/check.ts';
import { jaxTrainer } from './lib/jax-train.ts';
import { startJax, startTf } from './lib/peers.ts';
import { race } from './lib/race.ts';
import { options } from './lib/report.ts';
import { tfTrainer } from './lib/tf-train.ts';
import { ADAMW, type Trainer } from './lib/trainer.ts';

const HELP = `npx tsx bench/train-block.ts [options]   a training step of a DiT-S/2 block: ditc, jax-js and tfjs`;
const { rounds, json } = options(HELP, {});

const { hiddenSize: d } = config;
const block: EntryFunction = (e) => {
  const c = e.input('c', [1, d]);
  const on = { c, context: c.unsqueeze(1) };
  return { out: blocks['adaLN-Zero'](e.params, e.input('x', [1, TOKENS, d]), on, config) };
};
const settings = optimizerOptions({ ...ADAMW, batch: 1 });

async function ditc(open: OpenDevice): Promise<{ trainer: Trainer; shapes: Shapes }> {
  const entries = {
    start: ((e) => {
      block(e); // declares the weights
      startOptimizer(e, settings);
    }) as EntryFunction,
    step: ((e) => {
      const { out } = block(e) as { out: ReturnType<typeof e.input> };
      const loss = out
        .sub(e.input('target', [1, TOKENS, d]))
        .square()
        .mean();
      optimize(e, settings, loss);
      return { loss };
    }) as EntryFunction,
  };
  const artefact = compileModel(
    { config: {}, entries },
    { device: open.spec, entryOptions: { batch: 1 }, name: 'bench', source: 'bench' },
  );
  const program = await Program.create(open.device, artefact);
  const { params, entries: built } = artefact.manifest;
  for (const { name, shape } of params) await program.setParam(name, data(name, shape));
  for (const { name, shape } of built.step.inputs) program.write(name, data(name, shape));
  await program.run('start');
  const trainer: Trainer = {
    name: 'ditc',
    submit: () => program.run('step'),
    finish: () => program.sync(),
    loss: async () => (await program.readOutput('step', 'loss'))[0],
    weight: (name) => program.readParam(name) as Promise<Float32Array>,
    moment: (name) => program.readState(`optimizer.m.${name}`) as Promise<Float32Array>,
    average: (name) => program.readState(`ema.${name}`) as Promise<Float32Array>,
  };
  return { trainer, shapes: new Map([...built.step.inputs, ...params].map(({ name, shape }) => [name, shape])) };
}

/** Of a few steps: each one's loss, and at the end of a matrix what its gradients were, and how far it and its average have come. */
async function learnt(trainer: Trainer, shapes: Shapes) {
  const losses = [];
  for (let step = 0; step < 4; step++) {
    await trainer.submit();
    await trainer.finish();
    losses.push(await trainer.loss());
  }
  const name = 'mlp.fc1.weight';
  const first = data(name, shapes.get(name)!);
  const read = [await trainer.weight(name), await trainer.average(name)];
  const moment = await trainer.moment(name);
  return { losses, moment, moved: read.map((values) => Float32Array.from(values, (value, i) => value - first[i])) };
}

const found = await findAdapter();
const open = await openDevice(found.adapter, found.spec);
const { trainer, shapes } = await ditc(open);
const [jax, tf] = [await startJax(found), await startTf(found)];
const trainers = [trainer, ...(jax ? [jaxTrainer(jax, shapes)] : []), ...(tf ? [tfTrainer(tf, shapes)] : [])];
const want = await learnt(trainer, shapes);
for (const peer of trainers.slice(1)) {
  const { losses, moment, moved } = await learnt(peer, shapes);
  mustBeWithin(`${peer.name}'s loss`, relativeError(losses, want.losses), 1e-4);
  mustBeWithin(`${peer.name}'s gradients`, relativeError(moment, want.moment), 1e-4);
  moved.forEach((values, i) => mustBeWithin(`${peer.name}'s step`, relativeError(values, want.moved[i]), 1e-3));
}
await race(trainers, open, { rounds, json });
open.close();
// Peers keep the process alive.
process.exit(0);
