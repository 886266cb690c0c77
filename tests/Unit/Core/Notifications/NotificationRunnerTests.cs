using System.Diagnostics.Metrics;
using System.Threading.Channels;
using AiAspire.Core.Encryption;
using AiAspire.Core.Notifications;
using AiAspire.Workers.Notifications;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.CoreTests.Notifications;

public sealed class NotificationRunnerTests
{
    private static readonly NotificationOptions Options = new() { Concurrency = 2, PollSeconds = 0.05, MaxTries = 3 };

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_delivery_whose_key_cannot_be_had_is_tried_again_and_given_up_in_the_end_and_the_process_lives()
    {
        var (sealedOff, lastTry, sound) = (Delivery("sealed"), Delivery("sealed") with { Tries = Options.MaxTries }, Delivery("sound"));
        var queue = new Queue(sealedOff, lastTry, sound);
        var way = new Way(d => d.Target == "sealed" ? throw new MasterKeyUnavailableException("Vault is sealed.") : Task.FromResult(DeliveryResult.Delivered));
        using var runner = Runner(queue, way);
        await runner.StartAsync(Cancelled);

        var outcomes = new Dictionary<Guid, string>();
        while (outcomes.Count < 3)
        {
            var (id, outcome) = await NextAsync(queue, runner);
            outcomes.Add(id, outcome);
        }

        Assert.StartsWith("retry: MasterKeyUnavailableException", outcomes[sealedOff.DeliveryId], StringComparison.Ordinal);
        Assert.StartsWith("dead: MasterKeyUnavailableException", outcomes[lastTry.DeliveryId], StringComparison.Ordinal);
        Assert.Equal("delivered", outcomes[sound.DeliveryId]);
        await runner.StopAsync(Cancelled);
        Assert.True(runner.ExecuteTask!.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task An_outbox_that_fails_however_it_does_is_asked_again()
    {
        var delivery = Delivery("sound");
        var queue = new Queue(delivery) { FirstFault = new UnauthorizedAccessException("no") };
        using var runner = Runner(queue, new Way(_ => Task.FromResult(DeliveryResult.Delivered)));
        await runner.StartAsync(Cancelled);

        Assert.Equal((delivery.DeliveryId, "delivered"), await NextAsync(queue, runner));
        await runner.StopAsync(Cancelled);
        Assert.True(runner.ExecuteTask!.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task A_delivery_that_does_not_end_holds_up_no_other()
    {
        var never = new TaskCompletionSource<DeliveryResult>();
        var stuck = Delivery("stuck");
        ClaimedDelivery[] others = [.. Enumerable.Range(0, 20).Select(i => Delivery($"sound-{i}"))];
        var queue = new Queue([stuck, .. others]);
        using var runner = Runner(queue, new Way(d => d.Target == "stuck" ? never.Task : Task.FromResult(DeliveryResult.Delivered)));
        await runner.StartAsync(Cancelled);

        foreach (var other in others)
            Assert.Equal((other.DeliveryId, "delivered"), await NextAsync(queue, runner));

        never.SetResult(DeliveryResult.Delivered);
        Assert.Equal((stuck.DeliveryId, "delivered"), await NextAsync(queue, runner));
        await runner.StopAsync(Cancelled);
    }

    /// <summary>What became of the next delivery; fails when the runner has ended instead, as it would take the host with it.</summary>
    private static async Task<(Guid Id, string Outcome)> NextAsync(Queue queue, NotificationRunner runner)
    {
        var next = queue.Told.Reader.ReadAsync(Cancelled).AsTask();
        if (await Task.WhenAny(next, runner.ExecuteTask!).WaitAsync(TimeSpan.FromSeconds(30), Cancelled) != next)
            await runner.ExecuteTask!;
        var (delivery, outcome) = await next;
        return (delivery.DeliveryId, outcome);
    }

    private static NotificationRunner Runner(Queue queue, Way way)
    {
        var options = Microsoft.Extensions.Options.Options.Create(Options);
        var sender = new NotificationSender(queue, [way], options, new Meters(), new Random(1), NullLogger<NotificationSender>.Instance);
        return new NotificationRunner(sender, options, TimeProvider.System, NullLogger<NotificationRunner>.Instance);
    }

    private static ClaimedDelivery Delivery(string target) => new(
        SampleCalls.Id(), SampleCalls.Id(), SampleCalls.Id(), Way.Only, target, 1, SampleCalls.Id(), "budget", "Budget", "80 % is used.", "{}", SampleCalls.Now, null, null);

    private sealed class Way(Func<ClaimedDelivery, Task<DeliveryResult>> deliver) : INotificationChannel
    {
        public const string Only = "only";

        public string Name => Only;

        public Task<DeliveryResult> DeliverAsync(ClaimedDelivery delivery, CancellationToken cancellationToken) => deliver(delivery).WaitAsync(cancellationToken);
    }

    /// <summary>An outbox in memory, which gives each delivery once.</summary>
    private sealed class Queue(params ClaimedDelivery[] waiting) : INotificationQueue
    {
        private readonly Queue<ClaimedDelivery> _waiting = new(waiting);

        public Exception? FirstFault { get; set; }

        public Channel<(ClaimedDelivery Delivery, string Outcome)> Told { get; } = Channel.CreateUnbounded<(ClaimedDelivery, string)>();

        public Task<IReadOnlyList<ClaimedDelivery>> ClaimAsync(int limit, CancellationToken cancellationToken)
        {
            if (FirstFault is { } fault)
            {
                FirstFault = null;
                throw fault;
            }

            var claimed = new List<ClaimedDelivery>();
            while (claimed.Count < limit && _waiting.TryDequeue(out var delivery))
                claimed.Add(delivery);
            return Task.FromResult<IReadOnlyList<ClaimedDelivery>>(claimed);
        }

        public Task DeliveredAsync(ClaimedDelivery delivery, CancellationToken cancellationToken) => Told.Writer.WriteAsync((delivery, "delivered"), cancellationToken).AsTask();

        public Task DeadAsync(ClaimedDelivery delivery, string error, CancellationToken cancellationToken)
            => Told.Writer.WriteAsync((delivery, $"dead: {error}"), cancellationToken).AsTask();

        public Task RetryAsync(ClaimedDelivery delivery, TimeSpan after, string error, CancellationToken cancellationToken)
            => Told.Writer.WriteAsync((delivery, $"retry: {error}"), cancellationToken).AsTask();
    }

    private sealed class Meters : IMeterFactory
    {
        public Meter Create(MeterOptions options) => new(options);

        public void Dispose()
        {
        }
    }
}
