using AiAspire.Core.Routing;

namespace AiAspire.Unit.CoreTests.Routing;

public sealed class LaneQueueTests
{
    private readonly Guid _busy = SampleCalls.Id();
    private readonly Guid _quiet = SampleCalls.Id();

    [Fact]
    public void The_turn_goes_round_the_tenants()
    {
        var queue = new LaneQueue(100);
        var busy = Enumerable.Range(0, 10).Select(_ => queue.Enter(_busy)!).ToList();
        var quiet = queue.Enter(_quiet)!;

        Assert.True(busy[0].Turn.IsCompleted);
        Assert.False(busy[1].Turn.IsCompleted);
        busy[0].Dispose();
        Assert.True(busy[1].Turn.IsCompleted);
        // Nine of the busy tenant came before; one of them goes first.
        busy[1].Dispose();
        Assert.True(quiet.Turn.IsCompleted);
        quiet.Dispose();
        Assert.True(busy[2].Turn.IsCompleted);
    }

    [Fact]
    public void Who_gives_up_is_passed_over_and_a_full_queue_takes_nobody()
    {
        var queue = new LaneQueue(3);
        var waiters = Enumerable.Range(0, 3).Select(_ => queue.Enter(_busy)!).ToList();
        Assert.Null(queue.Enter(_quiet));

        waiters[1].Dispose();
        Assert.Equal(2, queue.Count);
        waiters[0].Dispose();
        Assert.True(waiters[2].Turn.IsCompleted);
        waiters[2].Dispose();
        waiters[2].Dispose();
        Assert.Equal(0, queue.Count);
        Assert.True(queue.Enter(_quiet)!.Turn.IsCompleted);
    }
}
