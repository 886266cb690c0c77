export const cases = [];

/** @returns a function that adds a case of the area. */
export const area = (name) => (title, run) => cases.push({ area: name, name: title, run });

export const modes = ['whole', 'streamed'];
