using System.Globalization;
using System.Threading.Channels;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace AiAspire.Core.Limits;

/// <summary>A counter of the current period as the ledger has it.</summary>
/// <param name="Amount">Tokens, or billionths of a dollar.</param>
/// <param name="Ends">When its period ends.</param>
public readonly record struct LedgerCounter(long Amount, DateTimeOffset Ends);

/// <summary>Adds up the ledger for the counters.</summary>
public interface ILedgerCounters
{
    /// <summary>Every counter of the periods that <paramref name="until"/> lies in, from the calls that ended before.</summary>
    Task<Dictionary<string, LedgerCounter>> SumAsync(DateTimeOffset until, CancellationToken cancellationToken);
}

/// <summary>
/// The counters in Redis belong to a generation, named by the moment (Unix milliseconds) at which they were built from the ledger. When
/// the mark of the generation is gone, Redis has lost them, and the first to notice builds the next generation: calls that ended before
/// are counted from the ledger, later ones by themselves. A call whose settlement was being committed at that moment is found by a
/// second look a little later. Reservations of calls in progress do not pass on: for their length, limits are softer by them.
/// </summary>
public sealed partial class CounterGenerations(IConnectionMultiplexer redis, ILedgerCounters ledger, TimeProvider time, ILogger<CounterGenerations> logger)
    : BackgroundService
{
    internal const string Mark = "aia:lim:generation";
    private const string BuildingLock = "aia:lim:building";
    private const int MaxTries = 5;
    private static readonly TimeSpan BuildTime = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan WaitStep = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Afterlife = TimeSpan.FromHours(1);

    /// <summary>
    /// Longer than a settlement takes to commit, one that waits out a restart of the database included: 15 s of tries, and the last may wait for a commit
    /// before its own, each 10 s and what cancelling takes.
    /// </summary>
    private static readonly TimeSpan SecondLook = TimeSpan.FromSeconds(60);

    private readonly Channel<(long Generation, Dictionary<string, LedgerCounter> Counted)> _built = Channel.CreateUnbounded<(long, Dictionary<string, LedgerCounter>)>();
    private readonly SemaphoreSlim _renewing = new(1, 1);
    private long _current;

    /// <summary>Whether a call that ended then is in this generation from the ledger, or will be by its second look. In microseconds, as the ledger keeps it.</summary>
    public static bool Counts(long generation, DateTimeOffset endedAt) => endedAt.UtcTicks / TimeSpan.TicksPerMicrosecond < MadeAt(generation).UtcTicks / TimeSpan.TicksPerMicrosecond;

    /// <summary>When a generation was built: what ended before is in it.</summary>
    public static DateTimeOffset MadeAt(long generation) => DateTimeOffset.FromUnixTimeMilliseconds(generation);

    internal static string Key(long generation, string key) => string.Create(CultureInfo.InvariantCulture, $"aia:lim:{generation}:{key}");

    /// <summary>The generation in force, as last heard of; the scripts say when it is another.</summary>
    public ValueTask<long> CurrentAsync(CancellationToken cancellationToken)
        => Interlocked.Read(ref _current) is not 0 and var known ? ValueTask.FromResult(known) : new ValueTask<long>(AfterAsync(0, cancellationToken));

    /// <summary>The generation in force, when <paramref name="gone"/> is not; builds one when there is none.</summary>
    /// <exception cref="TimeoutException">Somebody is building one and does not come to an end.</exception>
    public async Task<long> AfterAsync(long gone, CancellationToken cancellationToken)
    {
        // Of all the calls that notice at once, one looks after it.
        await _renewing.WaitAsync(cancellationToken);
        try
        {
            if (Interlocked.Read(ref _current) is not 0 and var known && known != gone)
                return known;
            var found = await FindOrBuildAsync(cancellationToken);
            Interlocked.Exchange(ref _current, found);
            return found;
        }
        finally
        {
            _renewing.Release();
        }
    }

    /// <summary>
    /// Gives up counters that are behind the ledger, because something did not reach them or the ledger was changed past them. Whichever generation this
    /// process last heard of: if another replica has built one since then, that will do.
    /// </summary>
    /// <param name="missedAt">When they last missed something.</param>
    /// <param name="cancellationToken">Cancels.</param>
    public async Task RenewAsync(DateTimeOffset missedAt, CancellationToken cancellationToken)
    {
        var database = redis.GetDatabase();
        var heard = Interlocked.Read(ref _current);
        // Somebody may have been building one since before then, or by a clock that is behind.
        for (var attempt = 1; attempt <= MaxTries; attempt++)
        {
            if ((long?)await database.StringGetAsync(Mark) is { } found && !Counts(found, missedAt))
                await database.KeyDeleteAsync(Mark);
            heard = await AfterAsync(heard, cancellationToken);
            if (Counts(heard, missedAt))
                return;
        }

        throw new TimeoutException("The limits' counters are built again and again, and are still older than what they missed.");
    }

    /// <summary>So that no first call waits for it.</summary>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            await CurrentAsync(cancellationToken);
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            LogNotBuilt(logger, e);
        }

        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach (var (generation, counted) in _built.Reader.ReadAllAsync(stoppingToken))
        {
            try
            {
                await Task.Delay(SecondLook, time, stoppingToken);
                await CatchUpAsync(generation, counted, stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogNotCaughtUp(logger, generation, e);
            }
        }
    }

    /// <summary>Adds what was committed only after the generation was built, though it had ended before.</summary>
    internal async Task CatchUpAsync(long generation, Dictionary<string, LedgerCounter> counted, CancellationToken cancellationToken)
    {
        var late = await ledger.SumAsync(MadeAt(generation), cancellationToken);
        foreach (var (key, counted1) in counted)
        {
            if (late.TryGetValue(key, out var now))
                late[key] = now with { Amount = now.Amount - counted1.Amount };
        }

        // What became less was booked anew since, and whoever did so sees to the counters.
        await AddAsync(generation, late.Where(c => c.Value.Amount > 0));
    }

    private async Task<long> FindOrBuildAsync(CancellationToken cancellationToken)
    {
        var database = redis.GetDatabase();
        var start = time.GetTimestamp();
        while (true)
        {
            if ((long?)await database.StringGetAsync(Mark) is { } found)
                return found;
            if (await database.StringSetAsync(BuildingLock, "1", BuildTime, When.NotExists))
            {
                try
                {
                    // Built meanwhile by whoever had the lock before.
                    return (long?)await database.StringGetAsync(Mark) ?? await BuildAsync(database, cancellationToken);
                }
                finally
                {
                    await database.KeyDeleteAsync(BuildingLock);
                }
            }

            if (time.GetElapsedTime(start) > BuildTime)
                throw new TimeoutException("The limits' counters are being rebuilt by another process, and it does not come to an end.");
            await Task.Delay(WaitStep, time, cancellationToken);
        }
    }

    private async Task<long> BuildAsync(IDatabase database, CancellationToken cancellationToken)
    {
        // The next millisecond, so that it counts whatever has ended until now.
        var generation = time.GetUtcNow().ToUnixTimeMilliseconds() + 1;
        var counted = await ledger.SumAsync(MadeAt(generation), cancellationToken);
        await AddAsync(generation, counted);
        await database.StringSetAsync(Mark, generation);
        _built.Writer.TryWrite((generation, counted));
        LogBuilt(logger, generation, counted.Count);
        return generation;
    }

    private async Task AddAsync(long generation, IEnumerable<KeyValuePair<string, LedgerCounter>> counters)
    {
        var now = time.GetUtcNow();
        var batch = redis.GetDatabase().CreateBatch();
        var adding = new List<Task>();
        foreach (var (key, counter) in counters)
        {
            adding.Add(batch.StringIncrementAsync(Key(generation, key), counter.Amount));
            adding.Add(batch.KeyExpireAsync(Key(generation, key), counter.Ends - now + Afterlife));
        }

        batch.Execute();
        await Task.WhenAll(adding);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The limits' counters were built from the ledger: generation {Generation}, {Counters} counters")]
    private static partial void LogBuilt(ILogger logger, long generation, int counters);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The limits' counters could not be built at the start; the first call tries again")]
    private static partial void LogNotBuilt(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "The second look at the ledger for generation {Generation} of the limits' counters failed; calls that were being settled when Redis lost its data may be missing in them")]
    private static partial void LogNotCaughtUp(ILogger logger, long generation, Exception exception);

    public override void Dispose()
    {
        _renewing.Dispose();
        base.Dispose();
    }
}
