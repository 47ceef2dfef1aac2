/** The memory plan: time (dispatches) to the right, the arenas on top of each other, a block for each value's life. */
{
  const { make, si } = report;
  const [LEFT, TOP, BOTTOM, RIGHT] = [66, 22, 26, 8];

  report.drawMemory = () => {
    const { memory, dispatches } = report.data.entries[report.entry];
    const { blocks, arenas, peak, bound, weights } = memory;
    const total = arenas.reduce((sum, bytes) => sum + bytes, 0);
    report.byId('memory-note').textContent = peak
      ? `${si(peak, 'B')} of activations in ${report.plural(arenas.length, 'arena')}, beside ${si(weights, 'B')} of weights`
      : 'no activations: results go where they stay';
    if (!total) return report.fill('memory');
    const width = Math.max(320, report.byId('memory').clientWidth);
    const height = 250;
    const steps = dispatches.length;
    const x = (step) => LEFT + ((width - LEFT - RIGHT) * Math.min(step, steps)) / steps;
    const y = (bytes) => height - BOTTOM - ((height - TOP - BOTTOM) * bytes) / Math.max(total, bound);
    const base = arenas.map((_, i) => arenas.slice(0, i).reduce((sum, bytes) => sum + bytes, 0));
    const label = (attributes, text) => make('text', attributes, text);
    const floors = arenas.flatMap((bytes, i) => {
      const [top, bottom] = [y(base[i] + bytes), y(base[i])];
      const frame = make('rect', {
        class: 'arena',
        x: LEFT,
        y: top,
        width: x(steps) - LEFT,
        height: Math.max(0, bottom - top - 1),
      });
      const named =
        bottom - top > 14
          ? [label({ class: 'tick', x: LEFT - 8, y: (top + bottom) / 2 + 4, 'text-anchor': 'end' }, `arena ${i}`)]
          : [];
      return [frame, ...named];
    });
    const lives = blocks.map((block, i) => {
      const { arena, offset, size, from, to } = block;
      const top = y(base[arena] + offset + size);
      return make('rect', {
        class: 'block',
        style: report.color(dispatches[from].kernel),
        'data-block': i,
        x: x(from),
        y: top,
        width: Math.max(1, x(to + 1) - x(from)),
        height: Math.max(1, y(base[arena] + offset) - top),
        onpointermove: (event) => report.tip(event, ...about(block, dispatches)),
        onpointerleave: report.hideTip,
        onclick: () => report.choose(from),
      });
    });
    const line = (bytes, text, above) => [
      make('line', { class: 'limit', x1: LEFT, x2: x(steps), y1: y(bytes), y2: y(bytes) }),
      label({ class: 'bound', x: x(steps), y: y(bytes) + (above ? -6 : 14), 'text-anchor': 'end' }, text),
    ];
    const close = Math.abs(y(total) - y(bound)) < 16;
    const limits = close
      ? line(
          total,
          bound === peak
            ? `peak ${si(peak, 'B')}, the lower bound itself`
            : `peak ${si(peak, 'B')} · lower bound ${si(bound, 'B')}`,
          true,
        )
      : [...line(total, `peak ${si(peak, 'B')}`, true), ...line(bound, `lower bound ${si(bound, 'B')}`, bound > total)];
    const every = Math.max(1, Math.ceil(steps / Math.max(2, Math.floor((width - LEFT) / 90))));
    const ticks = Array.from({ length: Math.ceil(steps / every) }, (_, i) => i * every).map((step) =>
      label(
        {
          class: 'tick',
          x: (x(step) + x(step + 1)) / 2,
          y: height - 8,
          'text-anchor': steps < 30 ? 'middle' : 'start',
        },
        String(step + 1),
      ),
    );
    const axis = label({ class: 'tick', x: LEFT - 8, y: height - 8, 'text-anchor': 'end' }, 'dispatch');
    const svg = make(
      'svg',
      { viewBox: `0 0 ${width} ${height}`, height, role: 'img', 'aria-label': 'Memory over time' },
      floors,
      lives,
      limits,
      ticks,
      axis,
    );
    report.fill('memory', svg);
  };

  function about({ name, size, arena, offset, from, to, readBy }, dispatches) {
    const at = (i) => `${dispatches[i].kernel} (${i + 1})`;
    const readers = readBy.slice(0, 6).map(at).join(', ') + (readBy.length > 6 ? ` and ${readBy.length - 6} more` : '');
    const until =
      to >= dispatches.length ? 'a result: kept to the end' : `lives from dispatch ${from + 1} to ${to + 1}`;
    return [
      make('b', {}, name.replace(/^%/, '')),
      ` ${si(size, 'B')}`,
      make('small', {}, `arena ${arena} at ${offset.toLocaleString('en-US')} · ${until}`),
      make('small', {}, `written by ${at(from)}`),
      ...(readers ? [make('small', {}, `read by ${readers}`)] : []),
    ];
  }
}
