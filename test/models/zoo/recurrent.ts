/** Recurrent cells over a few steps: LSTM (Hochreiter & Schmidhuber 1997) and GRU (Cho et al. 2014), as PyTorch has them. */
import { defineModel, sigmoid, stack, tanh, type Scope, type Tensor } from '../../../compiler/dsl/index.ts';

export const recurrentConfig = { steps: 3, d: 32, hidden: 48, cell: 'lstm' as 'lstm' | 'gru' };

function lstm(p: Scope, x: Tensor, [h, c]: readonly Tensor[]): Tensor[] {
  const n = h.shape[1];
  const gates = p.linear('ih', x, 4 * n).add(p.linear('hh', h, 4 * n));
  const [i, f, g, o] = gates.split(4);
  const cell = sigmoid(f)
    .mul(c)
    .add(sigmoid(i).mul(tanh(g)));
  return [sigmoid(o).mul(tanh(cell)), cell];
}

function gru(p: Scope, x: Tensor, [h]: readonly Tensor[]): Tensor[] {
  const n = h.shape[1];
  const [[ri, zi, ni], [rh, zh, nh]] = [p.linear('ih', x, 3 * n).split(3), p.linear('hh', h, 3 * n).split(3)];
  const [r, z] = [sigmoid(ri.add(rh)), sigmoid(zi.add(zh))];
  const candidate = tanh(ni.add(r.mul(nh)));
  return [candidate.add(z.mul(h.sub(candidate)))];
}

export const recurrent = (config: Partial<typeof recurrentConfig> = {}) => {
  const cfg = { ...recurrentConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const x = e.input('x', [e.batch, cfg.steps, cfg.d]);
        let state = ['h', 'c'].map((name) => e.input(name, [e.batch, cfg.hidden]));
        const step = cfg.cell === 'lstm' ? lstm : gru;
        const outputs: Tensor[] = [];
        for (const xt of x.unstack(1)) {
          state = step(e.params, xt, state);
          outputs.push(state[0]);
        }
        return { y: stack(outputs, 1) };
      },
    },
  });
};
