// Draws each logo of a page: letters as tall as their attributions, an axis of positions, and bars of annotations.
// What is drawn lies beside each figure as JSON, which seqlight/plot/interactive_logo.py writes.
"use strict";
(function (root) {
  const MARGIN = { left: 66, right: 14, top: 8, bottom: 44 };
  // The whole range of the y axis in the units of the letters' paths.
  const UNITS = 1000;

  function unpack(text, kind) {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    return new kind(bytes.buffer);
  }

  // Letters of a column come in the order in which they are stacked, so each begins where those before it end.
  function decode(packed) {
    const letters = unpack(packed.letters, Uint8Array), heights = unpack(packed.heights, Float32Array);
    const shades = packed.shades ? unpack(packed.shades, Uint16Array) : null;
    const width = packed.end - packed.start, columns = [];
    for (let i = 0; i < width; i++) {
      const column = [];
      let up = 0, down = 0;
      for (let k = i; k < heights.length; k += width) {
        const height = heights[k] * packed.unit, letter = letters[k];
        if (!height) continue;
        column.push({ letter, height, bottom: height > 0 ? up : down, shade: shades ? shades[i] : letter });
        if (height > 0) up += height; else down += height;
      }
      columns.push(column);
    }
    return columns;
  }

  // One path for each colour. Along x a unit is a position, and along y a thousandth of the axis, from its upper end.
  function letterPaths(logo, columns) {
    const span = logo.high - logo.low, paths = logo.colors.map(() => []);
    columns.forEach((column, i) => {
      for (const one of column) {
        for (const [command, ...points] of logo.outlines[one.letter]) {
          const parts = [command];
          for (let k = 0; k < points.length; k += 2) {
            const y = one.bottom + one.height * points[k + 1];
            parts.push((i + points[k]).toFixed(3), (UNITS * (logo.high - y) / span).toFixed(2));
          }
          paths[one.shade].push(parts.join(" "));
        }
      }
    });
    return paths.map((path) => path.join(""));
  }

  function coordinate(logo, position) {
    if (!logo.locus) return position;
    return logo.locus.reverse ? logo.locus.end - position : logo.locus.start + position;
  }

  function grouped(number) {
    return String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  }

  function signed(number) {
    return (number < 0 ? "-" : "+") + String(Number(Math.abs(number).toPrecision(4)));
  }

  // What is shown while the pointer is on a position, a text for each line.
  function describe(logo, columns, position) {
    const lines = ["position " + grouped(position)];
    if (logo.locus) {
      lines.push(logo.locus.chrom + ":" + grouped(coordinate(logo, position) - (logo.locus.reverse ? 1 : 0)));
    }
    const column = columns[position - logo.start];
    for (const one of column.slice().reverse()) lines.push(logo.alphabet[one.letter] + " " + signed(one.height));
    if (!column.length) lines.push("no attribution");
    for (const one of logo.annotations) {
      if (one.start <= position && position < one.end) lines.push(one.text);
    }
    return lines;
  }

  // Round numbers between two ends, at most n or so of them.
  function ticks(low, high, n, whole) {
    const rough = (high - low) / Math.max(n, 1), power = Math.pow(10, Math.floor(Math.log10(rough)));
    let step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
    if (whole) step = Math.max(1, Math.round(step));
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return { at: found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  // The part of the logo that is shown, never beyond its ends and never less than a few positions.
  function clampView(logo, first, last) {
    const whole = logo.end - logo.start, width = Math.min(whole, Math.max(Math.min(8, whole), last - first));
    const start = Math.min(Math.max(first, logo.start), logo.end - width);
    return [start, start + width];
  }

  function zoomed(logo, view, factor, at) {
    return clampView(logo, at - (at - view[0]) * factor, at + (view[1] - at) * factor);
  }

  function escaped(text) {
    return String(text).replace(/[&<>"]/g, (one) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[one]);
  }

  function draw(figure) {
    const logo = JSON.parse(figure.querySelector("script").textContent);
    const columns = decode(logo), paths = letterPaths(logo, columns);
    const screen = figure.querySelector(".seqlight-screen"), tip = figure.querySelector(".seqlight-tip");
    const depth = logo.rows * 16, height = MARGIN.top + logo.height + depth + MARGIN.bottom;
    let view = logo.view.slice(), width = 0, dragged = null;

    const inner = () => width - MARGIN.left - MARGIN.right;
    const x = (position) => MARGIN.left + (position - view[0]) / (view[1] - view[0]) * inner();
    const y = (value) => MARGIN.top + (logo.high - value) / (logo.high - logo.low) * logo.height;

    function bars() {
      return logo.annotations.map((one) => {
        const top = MARGIN.top + logo.height + 4 + 16 * one.row;
        const left = x(one.start), wide = Math.max(x(one.end) - left, 1);
        const bar = `<rect x="${left.toFixed(1)}" y="${top}" width="${wide.toFixed(1)}" height="12" fill="#404040"/>`;
        // The label is written where there is room for it, which there is more of the closer one looks.
        if (!one.label || wide < 7 * one.label.length + 6) return bar;
        return bar + `<text class="label" x="${(left + wide / 2).toFixed(1)}" y="${top + 10}">${escaped(one.label)}</text>`;
      }).join("");
    }

    function axes() {
      const bottom = MARGIN.top + logo.height + depth + 4, right = width - MARGIN.right, parts = [];
      parts.push(`<path d="M${MARGIN.left} ${MARGIN.top}V${MARGIN.top + logo.height}M${MARGIN.left} ${bottom}H${right}"/>`);
      const ends = [coordinate(logo, view[0]), coordinate(logo, view[1])];
      const across = ticks(Math.min(...ends), Math.max(...ends), inner() / 110, true);
      for (const at of across.at) {
        const place = x(logo.locus ? (logo.locus.reverse ? logo.locus.end - at : at - logo.locus.start) : at);
        parts.push(`<path d="M${place.toFixed(1)} ${bottom}v5"/>`);
        // Long numbers at an end of the axis stay inside.
        const half = 3.5 * grouped(at).length, within = Math.max(half, Math.min(place, width - half));
        parts.push(`<text x="${within.toFixed(1)}" y="${bottom + 18}" text-anchor="middle">${grouped(at)}</text>`);
      }
      const up = ticks(logo.low, logo.high, 5, false);
      for (const at of up.at) {
        parts.push(`<path d="M${MARGIN.left - 5} ${y(at).toFixed(1)}h5"/>`);
        const label = at && (Math.abs(at) >= 1e5 || up.digits > 4) ? at.toExponential(1) : at ? at.toFixed(up.digits) : "0";
        parts.push(`<text x="${MARGIN.left - 8}" y="${(y(at) + 4).toFixed(1)}" text-anchor="end">${label}</text>`);
      }
      const middle = MARGIN.top + logo.height / 2;
      parts.push(`<text x="${MARGIN.left + inner() / 2}" y="${bottom + 36}" text-anchor="middle">${escaped(logo.axis)}</text>`);
      parts.push(`<text transform="translate(13 ${middle}) rotate(-90)" text-anchor="middle">attribution</text>`);
      return parts.join("");
    }

    function show() {
      const scale = inner() / (view[1] - view[0]);
      const place = `matrix(${scale} 0 0 ${logo.height / UNITS} ${x(logo.start)} ${MARGIN.top})`;
      const svg = screen.querySelector("svg");
      svg.querySelector(".letters").setAttribute("transform", place);
      svg.querySelector(".bars").innerHTML = bars();
      svg.querySelector(".axes").innerHTML = axes();
    }

    function resize() {
      const found = screen.clientWidth;
      if (!found || found === width) return;
      width = found;
      const clip = `seqlight-clip-${count++}`;
      const fills = paths.map((path, i) => path && `<path d="${path}" fill="${escaped(logo.colors[i])}"/>`).join("");
      screen.innerHTML =
        `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(logo.summary)}">` +
        `<clipPath id="${clip}"><rect x="${MARGIN.left}" y="0" width="${inner()}" height="${height}"/></clipPath>` +
        `<g clip-path="url(#${clip})"><rect class="column" y="${MARGIN.top}" height="${logo.height}" width="0"/>` +
        `<path class="zero" d="M${MARGIN.left} ${y(0).toFixed(1)}H${width - MARGIN.right}"/>` +
        `<g class="letters">${fills}</g><g class="bars"></g></g><g class="axes"></g></svg>`;
      show();
    }

    function move(next) {
      view = next;
      hide();
      show();
    }

    function position(event) {
      const box = screen.getBoundingClientRect();
      const along = (event.clientX - box.left) * (width / box.width) - MARGIN.left;
      return view[0] + along / inner() * (view[1] - view[0]);
    }

    function hide() {
      tip.hidden = true;
      const column = screen.querySelector(".column");
      if (column) column.setAttribute("width", 0);
    }

    function point(event) {
      const at = Math.floor(position(event));
      if (at < view[0] - 1 || at >= view[1] || at < logo.start || at >= logo.end) return hide();
      tip.textContent = describe(logo, columns, at).join("\n");
      tip.hidden = false;
      const box = screen.getBoundingClientRect(), left = event.clientX - box.left;
      // On whichever side of the pointer there is more room.
      const side = left < box.width / 2;
      tip.style.left = side ? `${left + 14}px` : "auto";
      tip.style.right = side ? "auto" : `${box.width - left + 14}px`;
      tip.style.top = `${Math.max(0, event.clientY - box.top - 20)}px`;
      const column = screen.querySelector(".column");
      column.setAttribute("x", x(at));
      column.setAttribute("width", x(at + 1) - x(at));
    }

    const middle = () => (view[0] + view[1]) / 2;
    const shift = (share) => clampView(logo, view[0] + share * (view[1] - view[0]), view[1] + share * (view[1] - view[0]));
    const actions = {
      in: () => zoomed(logo, view, 0.5, middle()),
      out: () => zoomed(logo, view, 2, middle()),
      all: () => [logo.start, logo.end],
      left: () => shift(-0.25),
      right: () => shift(0.25),
    };
    const keys = { "+": "in", "=": "in", "-": "out", 0: "all", ArrowLeft: "left", ArrowRight: "right" };
    for (const button of figure.querySelectorAll("button")) {
      button.addEventListener("click", () => move(actions[button.dataset.action]()));
    }
    screen.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      move(actions[keys[event.key]]());
    });
    screen.addEventListener("dblclick", () => move(actions.all()));
    // Without a key the wheel scrolls the page.
    screen.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      move(zoomed(logo, view, Math.exp(event.deltaY / 300), position(event)));
    }, { passive: false });
    screen.addEventListener("pointerdown", (event) => {
      dragged = { at: position(event), view };
      if (event.pointerType === "mouse") screen.setPointerCapture(event.pointerId);
    });
    screen.addEventListener("pointermove", (event) => {
      if (!dragged) return point(event);
      const by = dragged.at - position(event);
      move(clampView(logo, view[0] + by, view[1] + by));
    });
    for (const end of ["pointerup", "pointercancel"]) screen.addEventListener(end, () => { dragged = null; });
    screen.addEventListener("pointerleave", hide);
    resize();
    new ResizeObserver(resize).observe(screen);
  }

  let count = 0;

  function drawAll() {
    for (const figure of document.querySelectorAll("figure.seqlight-logo:not([data-drawn])")) {
      figure.dataset.drawn = "";
      draw(figure);
    }
  }

  if (typeof module !== "undefined" && module.exports) {
    module.exports = { decode, letterPaths, describe, ticks, clampView, zoomed, coordinate };
  } else if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", drawAll);
  } else {
    drawAll();
  }
})(this);
