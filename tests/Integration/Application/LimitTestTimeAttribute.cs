using System.Collections.Concurrent;
using System.Reflection;
using Xunit.v3;

[assembly: AiAspire.Integration.Application.LimitTestTime]

namespace AiAspire.Integration.Application;

/// <summary>
/// A test that waits for what never comes is cancelled, with its name, after ten minutes; the longest needs two on a machine of two cores. What does not even listen to its
/// cancellation ends with the run: <c>--hangdump</c> in the project file.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly)]
internal sealed class LimitTestTimeAttribute : BeforeAfterTestAttribute
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);
    private static readonly ConcurrentDictionary<string, ITimer> Running = new();

    public override void Before(MethodInfo methodUnderTest, IXunitTest test)
    {
        var context = TestContext.Current;
        Running[test.UniqueID] = TimeProvider.System.CreateTimer(
            _ =>
            {
                context.TestOutputHelper?.WriteLine($"Cancelled: the test was not over after {Limit.TotalMinutes} minutes.");
                context.CancelCurrentTest();
            },
            null, Limit, Timeout.InfiniteTimeSpan);
    }

    public override void After(MethodInfo methodUnderTest, IXunitTest test)
    {
        if (Running.TryRemove(test.UniqueID, out var timer))
            timer.Dispose();
    }
}
