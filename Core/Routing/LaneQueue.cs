namespace AiAspire.Core.Routing;

/// <summary>
/// Who waits for a target's rate limit. One at a time asks for room; its turn goes round the tenants, so that a tenant with a thousand
/// waiting requests delays another tenant's only one by a single place.
/// </summary>
internal sealed class LaneQueue(int capacity)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, Queue<Waiter>> _byTenant = [];
    private readonly Queue<Guid> _turns = new();
    private Waiter? _head;
    private int _count;

    /// <summary>Waiting, the one whose turn it is included.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Joins the queue; null when it is full. Await <see cref="Waiter.Turn"/>, and dispose to let the next one in, also on giving up.</summary>
    public Waiter? Enter(Guid tenant)
    {
        lock (_lock)
        {
            if (_count >= capacity)
                return null;
            _count++;
            var waiter = new Waiter(this);
            if (_head is null)
            {
                Give(waiter);
                return waiter;
            }

            if (!_byTenant.TryGetValue(tenant, out var waiting))
                _byTenant[tenant] = waiting = new Queue<Waiter>();
            if (waiting.Count == 0)
                _turns.Enqueue(tenant);
            waiting.Enqueue(waiter);
            return waiter;
        }
    }

    private void Leave(Waiter waiter)
    {
        lock (_lock)
        {
            if (waiter.HasLeft)
                return;
            waiter.HasLeft = true;
            _count--;
            if (_head != waiter)
                return; // Passed over when its turn comes.
            _head = null;
            while (_head is null && _turns.TryDequeue(out var tenant))
            {
                var waiting = _byTenant[tenant];
                while (waiting.TryDequeue(out var next))
                {
                    if (next.HasLeft)
                        continue;
                    Give(next);
                    break;
                }

                if (waiting.Count == 0)
                    _byTenant.Remove(tenant);
                else
                    _turns.Enqueue(tenant);
            }
        }
    }

    private void Give(Waiter waiter)
    {
        _head = waiter;
        waiter.Start();
    }

    /// <summary>A place in the queue.</summary>
    internal sealed class Waiter(LaneQueue queue) : IDisposable
    {
        private readonly TaskCompletionSource _turn = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Turn => _turn.Task;

        public bool HasLeft { get; set; }

        public void Start() => _turn.TrySetResult();

        public void Dispose() => queue.Leave(this);
    }
}
