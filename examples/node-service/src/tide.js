// Pure functions: the height of the tide from its harmonic constituents.

/** Returns the height in metres at `hours` after the epoch of `constituents`. */
export function height(constituents, hours) {
  if (!Array.isArray(constituents) || constituents.length === 0) {
    throw new TypeError("at least one constituent is needed");
  }
  return constituents.reduce((sum, { amplitude, speed, phase }) => {
    const angle = ((speed * hours - phase) * Math.PI) / 180;
    return sum + amplitude * Math.cos(angle);
  }, 0);
}

/** Returns the next high water at or after `from`, searched in steps of six minutes. */
export function nextHighWater(constituents, from, limitHours = 30) {
  const step = 0.1;
  for (let hours = from; hours < from + limitHours; hours += step) {
    const here = height(constituents, hours);
    if (here >= height(constituents, hours - step) && here > height(constituents, hours + step)) {
      return { hours, height: here };
    }
  }
  return null;
}
