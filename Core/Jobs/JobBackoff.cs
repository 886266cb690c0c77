namespace AiAspire.Core.Jobs;

/// <summary>How long a job waits before its next start.</summary>
public static class JobBackoff
{
    private static readonly TimeSpan First = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Twice as long each time, from 1 s to 5 min, of which the second half is drawn by lot: jobs that failed together do not come back
    /// together. Never less than what the provider asked for (<c>Retry-After</c>).
    /// </summary>
    /// <param name="times">1 for the first wait.</param>
    /// <param name="asked">What was asked for, if anything.</param>
    /// <param name="random">From 0 to 1.</param>
    public static TimeSpan Next(int times, TimeSpan? asked, double random)
    {
        var full = TimeSpan.FromTicks(Math.Min(Longest.Ticks, First.Ticks << Math.Clamp(times - 1, 0, 16)));
        var wait = full * (0.5 + (random / 2));
        // On top of what was asked for, and not in its place: many jobs were told the same time.
        return asked is { } least && least > TimeSpan.Zero ? least + (wait < least ? wait * 0.5 : wait - least) : wait;
    }
}
