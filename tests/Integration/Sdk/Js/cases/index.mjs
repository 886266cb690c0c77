import { cases } from './registry.mjs';
import './chat.mjs';
import './streaming.mjs';
import './structured.mjs';
import './tools.mjs';
import './embeddings.mjs';
import './moderations.mjs';
import './models.mjs';
import './errors.mjs';
import './idempotency.mjs';
import './batches.mjs';

export { cases };
