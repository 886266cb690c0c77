using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Unit.CoreTests.Data;

public sealed class TimedWriteTests
{
    [Fact]
    public async Task A_database_that_does_not_answer_counts_as_one_that_is_away()
    {
        var time = SampleCalls.Time();
        var write = TimedWrite.RunAsync(time, token => Task.Delay(Timeout.InfiniteTimeSpan, time, token));
        time.Advance(TimeSpan.FromSeconds(9.9));
        Assert.False(write.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(0.1));

        Assert.True((await Assert.ThrowsAsync<NpgsqlException>(() => write)).IsTransient);
    }

    [Fact]
    public async Task What_else_ends_a_write_is_passed_on()
    {
        await TimedWrite.RunAsync(SampleCalls.Time(), _ => Task.CompletedTask);
        await Assert.ThrowsAsync<OperationCanceledException>(() => TimedWrite.RunAsync(SampleCalls.Time(), _ => throw new OperationCanceledException("of another token")));
        await Assert.ThrowsAsync<InvalidOperationException>(() => TimedWrite.RunAsync(SampleCalls.Time(), _ => throw new InvalidOperationException()));
    }
}
