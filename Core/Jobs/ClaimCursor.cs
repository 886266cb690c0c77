namespace AiAspire.Core.Jobs;

/// <summary>
/// Where a worker's last claims ended, so that the next ones need not read again the dead index entries of all jobs before: while any transaction of the
/// cluster is older than them, PostgreSQL can take none away. Only a hint, which may miss jobs. So a claim that looks at everything comes as soon as those
/// take at most a fifth of the time: on a database in good health after some milliseconds.
/// </summary>
internal sealed class ClaimCursor(TimeProvider time)
{
    private const int Share = 5;

    /// <summary>
    /// Of so many claims that brought something, one takes the oldest jobs of each tenant first, whatever their priority. So the least urgent have an eighth of
    /// the work, or more while nothing else waits, and none waits for ever.
    /// </summary>
    private const int ByPriority = 8;

    /// <summary>More tenants and priorities than this are not remembered one by one.</summary>
    private const int MaxPlaces = 1_000;

    /// <summary>Jobs are stamped by the clocks of the processes that queue them, and committed a little later.</summary>
    private static readonly TimeSpan Slack = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan Forgotten = TimeSpan.FromMinutes(1);

    private readonly TimeProvider _time = time;
    private readonly Dictionary<(Guid Tenant, short Priority), (DateTimeOffset From, long Seen)> _places = [];
    private DateTimeOffset? _runningSince;
    private long _lookedAtAll;
    private TimeSpan _pause = TimeSpan.Zero;
    private bool _lastLookedAtAll;
    private int _sinceOldestFirst = 1;

    /// <summary>Until a claim looks at everything again; null: the last one did.</summary>
    public TimeSpan? LooksAtAllIn => _lastLookedAtAll ? null : UntilAll;

    private TimeSpan UntilAll => TimeSpan.FromTicks(Math.Max(0, (_pause - _time.GetElapsedTime(_lookedAtAll)).Ticks));

    public Look Begin() => new(this, all: _places.Count is 0 or > MaxPlaces || UntilAll == TimeSpan.Zero);

    /// <summary>One claim.</summary>
    public sealed class Look
    {
        private readonly ClaimCursor _cursor;
        private readonly long _started;
        private bool _took;

        internal Look(ClaimCursor cursor, bool all)
        {
            (_cursor, _started) = (cursor, cursor._time.GetTimestamp());
            cursor._lastLookedAtAll = all;
            OldestFirst = all && cursor._sinceOldestFirst >= ByPriority;
            if (all)
                return;
            RunningSince = cursor._runningSince;
            Tenants = [.. cursor._places.Keys.Select(k => k.Tenant)];
            Priorities = [.. cursor._places.Keys.Select(k => k.Priority)];
            From = [.. cursor._places.Values.Select(p => p.From - Slack)];
        }

        /// <summary>Not the most urgent. Only of claims that look at everything: hints are kept for the priorities that were taken.</summary>
        public bool OldestFirst { get; }

        /// <summary>Null, as the rest: everything.</summary>
        public DateTimeOffset? RunningSince { get; }

        public Guid[]? Tenants { get; }

        public short[]? Priorities { get; }

        public DateTimeOffset[]? From { get; }

        /// <summary>A job that was taken: those of its tenant and priority are taken in the order of <paramref name="readyAt"/>.</summary>
        public void Took(Guid tenant, short priority, DateTimeOffset readyAt, DateTimeOffset runningSince)
        {
            _took = true;
            _cursor._runningSince = runningSince;
            var key = (tenant, priority);
            var from = _cursor._places.TryGetValue(key, out var place) && place.From > readyAt ? place.From : readyAt;
            _cursor._places[key] = (from, _started);
        }

        /// <summary>The claim is committed.</summary>
        public void End()
        {
            if (_took)
                _cursor._sinceOldestFirst = OldestFirst ? 1 : _cursor._sinceOldestFirst + 1;
            if (Tenants is not null)
                return;
            var now = _cursor._time.GetTimestamp();
            (_cursor._lookedAtAll, _cursor._pause) = (now, _cursor._time.GetElapsedTime(_started, now) * (Share - 1));
            foreach (var (key, place) in _cursor._places)
            {
                if (_cursor._time.GetElapsedTime(place.Seen, now) > Forgotten)
                    _cursor._places.Remove(key);
            }
        }
    }
}
