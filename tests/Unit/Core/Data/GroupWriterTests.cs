using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Unit.CoreTests.Data;

public sealed class GroupWriterTests
{
    [Fact]
    public async Task A_lone_item_is_written_at_once_and_those_who_come_meanwhile_go_together()
    {
        var written = new List<int[]>();
        var gate = new TaskCompletionSource();
        var writer = new GroupWriter<int>(100, async items =>
        {
            written.Add([.. items]);
            await gate.Task;
        });

        var first = writer.WriteAsync(0);
        var rest = Enumerable.Range(1, 5).Select(writer.WriteAsync).ToArray();
        Assert.False(first.IsCompleted);
        gate.SetResult();
        await Task.WhenAll([first, .. rest]);

        Assert.Equal([[0], [1, 2, 3, 4, 5]], written);
    }

    [Fact]
    public async Task A_batch_has_its_bound_and_follows_the_one_before()
    {
        var (running, most, sizes) = (0, 0, new List<int>());
        var writer = new GroupWriter<int>(10, async items =>
        {
            most = Math.Max(most, Interlocked.Increment(ref running));
            sizes.Add(items.Count);
            await Task.Yield();
            Interlocked.Decrement(ref running);
        });

        await Task.WhenAll(Enumerable.Range(0, 500).Select(i => Task.Run(() => writer.WriteAsync(i))));

        Assert.Equal(500, sizes.Sum());
        Assert.Equal(1, most);
        Assert.All(sizes, s => Assert.InRange(s, 1, 10));
    }

    [Fact]
    public async Task One_that_cannot_be_written_fails_alone()
    {
        var gate = new TaskCompletionSource();
        var written = new List<int>();
        var writer = new GroupWriter<int>(100, async items =>
        {
            await gate.Task;
            if (items.Contains(3))
                throw new PostgresException("no such user", "ERROR", "ERROR", PostgresErrorCodes.ForeignKeyViolation);
            written.AddRange(items);
        });

        var all = Enumerable.Range(0, 6).Select(writer.WriteAsync).ToArray();
        gate.SetResult();

        await Assert.ThrowsAsync<PostgresException>(() => all[3]);
        await Task.WhenAll(all.Where((_, i) => i != 3));
        Assert.Equal([0, 1, 2, 4, 5], written.Order());
    }

    [Fact]
    public async Task A_database_that_is_away_fails_all_of_them_and_is_not_asked_for_each()
    {
        var (calls, gate) = (0, new TaskCompletionSource());
        var writer = new GroupWriter<int>(100, async _ =>
        {
            await gate.Task;
            calls++;
            throw new NpgsqlException("away", new TimeoutException());
        });

        var all = Enumerable.Range(0, 50).Select(writer.WriteAsync).ToArray();
        gate.SetResult();

        foreach (var one in all)
            await Assert.ThrowsAsync<NpgsqlException>(() => one);
        Assert.Equal(2, calls);
        await Assert.ThrowsAsync<NpgsqlException>(() => writer.WriteAsync(1));
    }
}
