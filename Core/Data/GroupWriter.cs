using Npgsql;

namespace AiAspire.Core.Data;

/// <summary>
/// Writes what many calls bring in few commits: whoever comes first writes at once, and for all who come while it writes the next
/// commit is one. No timer, so a lone call is not held back; under load the cost of a commit and of a statement is shared. One write at a time:
/// with several, fewer would share a commit.
/// </summary>
/// <param name="maxBatch">Most items in one write.</param>
/// <param name="write">Writes all of its items, or throws and has written none.</param>
public sealed class GroupWriter<T>(int maxBatch, Func<IReadOnlyList<T>, Task> write)
{
    private readonly Lock _lock = new();
    private readonly Queue<Waiting> _waiting = new();
    private bool _writing;

    /// <summary>Returns when the item is committed.</summary>
    public Task WriteAsync(T item)
    {
        var waiting = new Waiting(item);
        lock (_lock)
        {
            _waiting.Enqueue(waiting);
            if (_writing)
                return waiting.Done.Task;
            _writing = true;
        }

        _ = RunAsync();
        return waiting.Done.Task;
    }

    private async Task RunAsync()
    {
        while (true)
        {
            Waiting[] batch;
            lock (_lock)
            {
                if (_waiting.Count == 0)
                {
                    _writing = false;
                    return;
                }

                batch = new Waiting[Math.Min(_waiting.Count, maxBatch)];
                for (var i = 0; i < batch.Length; i++)
                    batch[i] = _waiting.Dequeue();
            }

            await WriteAsync(batch);
        }
    }

    private async Task WriteAsync(Waiting[] batch)
    {
        try
        {
            await write(Array.ConvertAll(batch, static w => w.Item));
        }
        catch (Exception e) when (batch.Length > 1 && e is not NpgsqlException { IsTransient: true })
        {
            // One of them cannot be written: the others must not suffer for it.
            foreach (var waiting in batch)
                await WriteAsync([waiting]);
            return;
        }
        catch (Exception e)
        {
            foreach (var waiting in batch)
                waiting.Done.TrySetException(e);
            return;
        }

        foreach (var waiting in batch)
            waiting.Done.TrySetResult();
    }

    private sealed class Waiting(T item)
    {
        public T Item { get; } = item;

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
