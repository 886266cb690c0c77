using System.Runtime.CompilerServices;
using AiAspire.Core.Chat;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Chat;

public sealed class SettleStepTests
{
    private readonly RecordingBooks _books = new();
    private readonly ChatCall _call = SampleCalls.Call();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_end_comes_only_after_the_books_are_closed()
    {
        await using var events = Run(Reply(2)).GetAsyncEnumerator(Cancellation);
        await events.MoveNextAsync();
        await events.MoveNextAsync();
        Assert.Empty(_books.Outcomes);

        Assert.False(await events.MoveNextAsync());

        Assert.Equal(["succeeded"], _books.Outcomes);
    }

    [Fact]
    public async Task A_refusal_after_an_attempt_is_settled()
    {
        await Assert.ThrowsAsync<WireException>(() => SampleCalls.CollectAsync(Run(Reply(0, new WireException(400, "t", "c", "m")))));

        Assert.Equal(["failed"], _books.Outcomes);
    }

    [Fact]
    public async Task A_failure_in_mid_stream_is_settled()
    {
        await Assert.ThrowsAsync<InvalidCastException>(() => SampleCalls.CollectAsync(Run(Reply(2, new InvalidCastException()))));

        Assert.Equal(["failed"], _books.Outcomes);
    }

    [Fact]
    public async Task A_cancelled_call_is_settled_as_aborted()
    {
        using var leaving = new CancellationTokenSource();
        var step = new SettleStep(_books);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var item in step.InvokeAsync(_call, Reply(3), leaving.Token))
                await leaving.CancelAsync();
        });

        Assert.Equal(["aborted"], _books.Outcomes);
    }

    [Fact]
    public async Task A_reader_who_stops_is_settled_as_aborted()
    {
        await foreach (var item in Run(Reply(3)))
            break;

        Assert.Equal(["aborted"], _books.Outcomes);
    }

    [Fact]
    public async Task A_caller_who_leaves_after_the_whole_reply_has_still_had_it()
    {
        using var leaving = new CancellationTokenSource();
        var step = new SettleStep(_books);
        await using var events = step.InvokeAsync(_call, Reply(1), leaving.Token).GetAsyncEnumerator(Cancellation);
        await events.MoveNextAsync();
        Assert.False(await events.MoveNextAsync());
        await leaving.CancelAsync();

        Assert.Equal(["succeeded"], _books.Outcomes);
    }

    [Fact]
    public async Task What_no_provider_saw_leaves_nothing_behind()
    {
        await Assert.ThrowsAsync<WireException>(() => SampleCalls.CollectAsync(Run((_, _) => throw new WireException(429, "t", "c", "m"))));

        Assert.Empty(_books.Outcomes);
    }

    [Fact]
    public async Task Without_a_key_for_the_messages_nothing_is_called()
    {
        _books.OpeningFails = new InvalidOperationException("no key");

        await Assert.ThrowsAsync<InvalidOperationException>(() => SampleCalls.CollectAsync(Run((_, _) => throw new InvalidCastException("called"))));
    }

    [Fact]
    public async Task Books_that_cannot_be_closed_are_no_success()
    {
        _books.SettlingFails = new Npgsql.NpgsqlException("gone");

        await Assert.ThrowsAsync<Npgsql.NpgsqlException>(() => SampleCalls.CollectAsync(Run(Reply(2))));
    }

    private IAsyncEnumerable<ChatEvent> Run(ChatNext next) => new SettleStep(_books).InvokeAsync(_call, next, Cancellation);

    private static ChatNext Reply(int events, Exception? end = null)
    {
        return Next;

        async IAsyncEnumerable<ChatEvent> Next(ChatCall call, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await Task.Yield();
            SampleCalls.Attempt(call, SampleCalls.Target());
            for (var i = 0; i < events; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                yield return SampleCalls.Chunk("a");
            }

            if (end is not null)
                throw end;
        }
    }
}
