import OpenAI from 'openai';

export const baseURL = process.env.AIASPIRE_URL;

/** A developer's, without limits. */
export const client = new OpenAI({ baseURL, apiKey: process.env.AIASPIRE_KEY, maxRetries: 0 });

/** Of one on a tier of 10,000 tokens a day. */
export const limited = new OpenAI({ baseURL, apiKey: process.env.AIASPIRE_LIMITED_KEY, maxRetries: 0 });

/** One model of each wire that a provider may speak. */
export const openAiWire = 'sim-large';
export const anthropicWire = 'sim-anthropic-large';
export const chatModels = [openAiWire, anthropicWire];

export const user = (content) => ({ role: 'user', content });

/** Text that no other run has sent. */
export const unique = () => crypto.randomUUID();
