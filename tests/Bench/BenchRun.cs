namespace AiAspire.Bench;

/// <summary>One measurement of one path. Times in milliseconds.</summary>
internal sealed record Measurement(Delivery Delivery, int Callers, string Path, int Round)
{
    public required int Answers { get; init; }

    public required int Errors { get; init; }

    public required string? FirstError { get; init; }

    public required double RequestsPerSecond { get; init; }

    public required Percentiles Latency { get; init; }

    public required Percentiles FirstToken { get; init; }

    /// <summary>Processor time per answer, by part of the system.</summary>
    public required IReadOnlyDictionary<string, double> CpuPerAnswer { get; init; }

    /// <summary>KiB of managed memory that the Api allocated per answer, by its own metrics; null on a path without it.</summary>
    public required double? AllocatedPerAnswer { get; init; }

    /// <summary>MiB: the most that each process of a part held in memory during the measurement, added up; shared pages count once a process.</summary>
    public required IReadOnlyDictionary<string, double> PeakMiB { get; init; }

    /// <summary>Share of the machine's processors that others took meanwhile, 0 to 1; null where the system does not tell.</summary>
    public required double? Others { get; init; }
}

/// <summary>Measures every path in turn, round after round, so that what disturbs the machine disturbs all of them alike.</summary>
internal sealed class BenchRun(BenchOptions options, WholeApplication whole, YarpPeer yarp, PortkeyPeer? portkey, TimeProvider time, Action<string> say)
{
    private const string UpstreamKey = "sk-bench";
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(1);
    private const int WarmUpCallers = 16;
    private readonly ApiAllocations _allocations = new(whole);

    /// <summary>Requests sent to the Api so far, warm-up included.</summary>
    public long Asked { get; private set; }

    public async Task<IReadOnlyList<Measurement>> RunAsync(CancellationToken cancellationToken)
    {
        using var generator = new LoadGenerator(time);
        ChatPath[] paths =
        [
            .. new[]
            {
                ChatPath.To(ChatPath.Direct, whole.Upstream, UpstreamKey),
                ChatPath.To(ChatPath.Yarp, yarp.Address, UpstreamKey),
                portkey is null ? null : ChatPath.To(ChatPath.Portkey, portkey.Address, UpstreamKey, PortkeyPeer.Headers(whole.Upstream)),
                ChatPath.To(ChatPath.Api, whole.Api, whole.ApiKey),
            }.OfType<ChatPath>().Where(p => options.Paths.Contains(p.Name)),
        ];
        var measured = new List<Measurement>();
        foreach (var delivery in options.Deliveries)
        {
            var question = new ChatQuestion(delivery);
            // Twice: the code that the first pass made hot is compiled anew during the second.
            foreach (var path in paths.Concat(paths))
                await LoadAsync(generator, path, question, WarmUpCallers, options.WarmUp, cancellationToken);
            foreach (var callers in options.Concurrency)
                for (var round = 1; round <= options.Rounds; round++)
                    foreach (var path in paths)
                        measured.Add(await MeasureAsync(generator, path, question, callers, round, cancellationToken));
        }

        return measured;
    }

    private async Task<Measurement> MeasureAsync(
        LoadGenerator generator, ChatPath path, ChatQuestion question, int callers, int round, CancellationToken cancellationToken)
    {
        await LoadAsync(generator, path, question, callers, WarmUp, cancellationToken);
        var processes = Processes();
        PeakMemory.Reset(processes.Values.SelectMany(p => p));
        var allocated = path.Name == ChatPath.Api ? await _allocations.ReadAsync(cancellationToken) : null;
        var before = CpuTimes.Read(processes);
        var result = await LoadAsync(generator, path, question, callers, options.Length, cancellationToken);
        var after = CpuTimes.Read(processes);
        allocated = path.Name == ChatPath.Api ? await _allocations.ReadAsync(cancellationToken) - allocated : null;
        var measurement = new Measurement(question.IsStream ? Delivery.Stream : Delivery.Whole, callers, path.Name, round)
        {
            Answers = result.Answers,
            Errors = result.Errors,
            FirstError = result.FirstError,
            RequestsPerSecond = result.Answers / result.Elapsed.TotalSeconds,
            Latency = result.Latency(),
            FirstToken = result.FirstToken(),
            CpuPerAnswer = after.PartsSince(before).ToDictionary(p => p.Key, p => p.Value.TotalMilliseconds / result.Answers, StringComparer.Ordinal),
            AllocatedPerAnswer = allocated / 1024 / result.Answers,
            // Asked for anew: PostgreSQL has a process for each connection, and those come and go.
            PeakMiB = Processes().ToDictionary(p => p.Key, p => p.Value.Sum(PeakMemory.MiB), StringComparer.Ordinal),
            Others = after.OthersSince(before) / (result.Elapsed * Environment.ProcessorCount),
        };
        say($"{measurement.Delivery}, {callers} callers, round {round}, {path.Name}: {measurement.RequestsPerSecond:0} requests/s, p50 {measurement.Latency.P50:0.00} ms, {measurement.Errors} errors {measurement.FirstError}, others took {measurement.Others:P0}");
        return measurement;
    }

    private async Task<LoadResult> LoadAsync(
        LoadGenerator generator, ChatPath path, ChatQuestion question, int callers, TimeSpan length, CancellationToken cancellationToken)
    {
        var result = await generator.RunAsync(path, question, callers, length, cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        if (path.Name == ChatPath.Api)
            Asked += result.Answers + result.Errors;
        return result;
    }

    private Dictionary<string, IReadOnlyList<int>> Processes() => new(StringComparer.Ordinal)
    {
        ["generator"] = [Environment.ProcessId],
        ["upstream"] = whole.ProcessesOf("sim-openai"),
        ["YARP"] = [yarp.ProcessId],
        ["Portkey"] = portkey is null ? [] : [portkey.ProcessId],
        ["Api"] = whole.ProcessesOf("api"),
        ["PostgreSQL"] = whole.ProcessesOf("postgres"),
        ["Garnet"] = whole.ProcessesOf("redis"),
        ["background"] = [.. whole.ProcessesOf("workers"), .. whole.ProcessesOf("workers", replica: 1), .. whole.ProcessesOf("evaluator"), .. whole.ProcessesOf("sim-anthropic")],
    };
}
