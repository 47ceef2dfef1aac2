/** Draws the charts of a metrics page: runs in the browser, on the data that metrics-page.ts put into it. */
(() => {
  // Small samples are shown pixel by pixel, each as large as a whole number of times lets it be: an uneven one would sparkle.
  const [WIDEST, HIGHEST] = [616, 220];
  window.addEventListener('load', () => {
    for (const image of document.querySelectorAll('.samples img')) {
      const fit = Math.min(WIDEST / image.naturalWidth, HIGHEST / image.naturalHeight);
      image.style.width = `${image.naturalWidth * (fit >= 1 ? Math.floor(fit) : fit)}px`;
      if (fit < 1) image.style.imageRendering = 'auto';
    }
  });

  const { x, charts } = JSON.parse(document.getElementById('data').textContent);
  const root = document.getElementById('charts');
  if (!root) return;
  const HEIGHT = 240;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  /** Between two #rrggbb colours. */
  function mix(low, high, k) {
    const channel = (hex, i) => parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16);
    const parts = [0, 1, 2].map((i) => Math.round(channel(low, i) * (1 - k) + channel(high, i) * k));
    return `rgb(${parts.join(' ')})`;
  }

  /** Asked anew at every drawing, since the system may turn dark at sunset. */
  const strokeOf = (kind, alone) => () =>
    typeof kind === 'number' ? mix(color('ramp-low'), color('ramp-high'), kind) : color(alone ? 'only' : kind);

  const short = (value) => {
    if (value === null || value === undefined) return '–';
    const size = Math.abs(value);
    const rounded = Number(value.toPrecision(4));
    return size !== 0 && (size < 1e-3 || size >= 1e6) ? rounded.toExponential() : String(rounded);
  };
  /** The next of 1, 2, 5, 10, … below: the lowest tick of a log scale is where it begins. */
  function roundBelow(value) {
    const decade = 10 ** Math.floor(Math.log10(value));
    return decade * [5, 2, 1].find((digit) => digit * decade <= value || digit === 1);
  }

  const steps = (value) => (value === null ? '–' : value.toLocaleString('en-US'));

  function draw({ title, log, series }) {
    const section = document.createElement('section');
    const heading = document.createElement('h2');
    heading.textContent = title;
    if (log) heading.insertAdjacentHTML('beforeend', ' <small>log scale</small>');
    section.append(heading);
    root.append(section);
    const axis = {
      stroke: () => color('muted'),
      grid: { stroke: () => color('line'), width: 1 },
      ticks: { show: false },
    };
    /** Where the pointer is nowhere, the legend tells the last values. */
    const atEnd = (plot) => plot.cursor.idx ?? plot.setLegend({ idx: x.length - 1 }, false);
    const options = {
      hooks: { ready: [atEnd], setCursor: [atEnd] },
      width: section.clientWidth - 24,
      height: HEIGHT,
      cursor: { sync: { key: 'step' } },
      scales: {
        x: { time: false },
        y: log ? { distr: 3, range: (_, low, high) => [roundBelow(low / 1.05), high * 1.1] } : {},
      },
      axes: [
        { ...axis, size: 32, values: (_, values) => values.map(steps) },
        // On a log scale uPlot offers ticks it then leaves out: they come as null.
        { ...axis, size: 64, values: (_, values) => values.map((value) => (value === null ? '' : short(value))) },
      ],
      series: [
        { label: 'step', value: (_, value) => steps(value) },
        ...series.map(({ label, kind }) => ({
          label,
          stroke: strokeOf(kind, series.length === 1),
          width: kind === 'raw' && series.length > 1 ? 1 : 1.5,
          // Where no example fell into a slice of the timesteps, nothing is missing.
          spanGaps: typeof kind === 'number',
          points: { show: x.length < 2 },
          value: (_, value) => short(value),
        })),
      ],
    };
    const plot = new uPlot(options, [x, ...series.map(({ values }) => values)], section);
    new ResizeObserver(() => plot.setSize({ width: section.clientWidth - 24, height: HEIGHT })).observe(section);
    return plot;
  }

  const plots = charts.map(draw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plots.forEach((plot) => plot.redraw()));
})();
