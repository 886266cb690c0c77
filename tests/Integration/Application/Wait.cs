using System.Diagnostics;

namespace AiAspire.Integration.Application;

internal static class Wait
{
    /// <summary>Until a change holds in every process: five seconds at most, by the notification or the cache's end; the rest is for a busy machine.</summary>
    public static readonly TimeSpan EverywhereWithin = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    /// <summary>Asks until the answer is not null; on time-out says what was waited for and what was seen instead, with the last log lines of a resource.</summary>
    public static async Task<T> ForAsync<T>(
        string what, Func<Task<T?>> ask, RunningApplication application, string resource, TimeSpan? atMost = null, Func<string>? seen = null)
        where T : class
    {
        var limit = atMost ?? TimeSpan.FromSeconds(60);
        var started = Stopwatch.GetTimestamp();
        while (true)
        {
            // A replica that another test killed may still be starting: no answer is one more that is not yet the right one.
            var unanswered = "";
            try
            {
                if (await ask() is { } answer)
                    return answer;
            }
            catch (HttpRequestException e)
            {
                unanswered = e.Message;
            }

            if (Stopwatch.GetElapsedTime(started) > limit)
            {
                var log = string.Join('\n', Aspire.Hosting.Testing.FaultExtensions.GetResourceLogs(application.App, resource).TakeLast(40));
                throw new TimeoutException($"Waited {limit.TotalSeconds} s for {what}. {seen?.Invoke()} {unanswered} Last lines of {resource}:\n{log}");
            }

            await Task.Delay(Interval);
        }
    }

    public static async Task UntilAsync(string what, Func<Task<bool>> ask, RunningApplication application, string resource, TimeSpan? atMost = null, Func<string>? seen = null)
        => await ForAsync(what, async () => await ask() ? "yes" : null, application, resource, atMost, seen);
}
