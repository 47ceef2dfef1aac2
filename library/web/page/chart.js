/** The loss by step: every measured one as a dot, and their running mean as a line. */

const MARGIN = { left: 48, right: 12, top: 12, bottom: 24 };
/** Of the running mean: the share that the newest loss has, once there are as many that it is the least. */
const SHARE = 0.05;
const TICKS = 4;

export class LossChart {
  #canvas;
  #points = [];
  #asked = false;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#ask()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#ask());
  }

  add(step, loss) {
    const before = this.#points.at(-1)?.mean ?? loss;
    const share = Math.max(SHARE, 1 / (this.#points.length + 1));
    this.#points.push({ step, loss, mean: before + share * (loss - before) });
    this.#canvas.hidden = false;
    this.#ask();
  }

  clear() {
    this.#points = [];
    this.#canvas.hidden = true;
  }

  /** Draws before the next frame, once for all that came. */
  #ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#draw();
    });
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width) return;
    const scale = devicePixelRatio;
    Object.assign(this.#canvas, { width: width * scale, height: height * scale });
    const context = this.#canvas.getContext('2d');
    context.scale(scale, scale);
    const { color: ink, borderTopColor: line, caretColor: accent } = getComputedStyle(this.#canvas);
    const points = this.#points;
    const first = points[0]?.step ?? 0;
    const last = Math.max(points.at(-1)?.step ?? 0, first + 10);
    const losses = points.map(({ loss }) => loss);
    const most = losses.reduce((a, b) => Math.max(a, b), losses.length ? 0 : 1);
    const least = losses.reduce((a, b) => Math.min(a, b), most);
    const [low, high] = [
      losses.length ? Math.max(0, least - 0.1 * (most - least)) : 0,
      most + 0.05 * (most - least || 1),
    ];
    const x = (step) => MARGIN.left + ((step - first) / (last - first)) * (width - MARGIN.left - MARGIN.right);
    const y = (loss) => MARGIN.top + ((high - loss) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
    context.font = '12px system-ui, sans-serif';
    context.fillStyle = ink;
    context.strokeStyle = line;
    for (let i = 0; i <= TICKS; i++) {
      const [loss, step] = [low + ((high - low) * i) / TICKS, Math.round(first + ((last - first) * i) / TICKS)];
      context.beginPath();
      context.moveTo(MARGIN.left, y(loss));
      context.lineTo(width - MARGIN.right, y(loss));
      context.stroke();
      context.textAlign = 'right';
      context.fillText(loss.toPrecision(3), MARGIN.left - 6, y(loss) + 4);
      context.textAlign = i === TICKS ? 'right' : i ? 'center' : 'left';
      context.fillText(step, x(step), height - 7);
    }
    context.fillStyle = context.strokeStyle = accent;
    context.globalAlpha = 0.35;
    for (const { step, loss } of points) context.fillRect(x(step) - 1.5, y(loss) - 1.5, 3, 3);
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.beginPath();
    for (const { step, mean } of points) context.lineTo(x(step), y(mean));
    context.stroke();
  }
}
