using System.Net.Sockets;

namespace AiAspire.Bench;

/// <summary>
/// Callers in a closed loop: each asks, reads the answer to its end, checks it, and asks again. A wrong answer is an error and not a
/// request; its time counts nowhere.
/// </summary>
internal sealed class LoadGenerator(TimeProvider time) : IDisposable
{
    private const int LargestAnswer = 256 * 1024;

    /// <summary>Beyond the end of a run; an answer that takes longer is an error.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler
    {
        UseCookies = false,
        UseProxy = false,
        AllowAutoRedirect = false,
        ActivityHeadersPropagator = null,
    });

    /// <summary>Asks for <paramref name="length"/>; requests under way at its end are finished and counted.</summary>
    public async Task<LoadResult> RunAsync(ChatPath path, ChatQuestion question, int callers, TimeSpan length, CancellationToken cancellationToken)
    {
        var result = new LoadResult();
        using var patience = new CancellationTokenSource(length + Patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellationToken);
        var start = time.GetTimestamp();
        // Tasks of their own: a caller whose answers come synchronously must not keep the next from starting.
        await Task.WhenAll(Enumerable.Range(0, callers).Select(_ => Task.Run(() => CallAsync(), cancellationToken)));
        result.Elapsed = time.GetElapsedTime(start);
        return result;

        async Task CallAsync()
        {
            var buffer = new byte[LargestAnswer];
            while (time.GetElapsedTime(start) < length && !either.IsCancellationRequested)
                await AskAsync(path, question, buffer, result, either.Token);
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task AskAsync(ChatPath path, ChatQuestion question, byte[] buffer, LoadResult result, CancellationToken cancellationToken)
    {
        try
        {
            var began = time.GetTimestamp();
            TimeSpan? firstToken = null;
            using var request = question.To(path);
            using var response = await _http.SendAsync(request, cancellationToken);
            await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
            var length = 0;
            while (await body.ReadAsync(buffer.AsMemory(length), cancellationToken) is > 0 and var read)
            {
                length += read;
                if (firstToken is null && ChatQuestion.HasContent(buffer.AsSpan(0, length)))
                    firstToken = time.GetElapsedTime(began);
            }

            var took = time.GetElapsedTime(began);
            var problem = response.IsSuccessStatusCode ? question.Check(buffer.AsSpan(0, length)) : $"status {(int)response.StatusCode}";
            if (problem is null)
                result.AddAnswer(took, firstToken);
            else
                result.AddError(problem);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or SocketException or OperationCanceledException)
        {
            result.AddError(e.Message);
        }
    }
}

/// <summary>What one run of the generator saw. Times go into arrays made beforehand.</summary>
internal sealed class LoadResult
{
    private const int MostAnswers = 1 << 20;

    private readonly long[] _latencies = new long[MostAnswers];
    private readonly long[] _firstTokens = new long[MostAnswers];
    private int _answers;
    private int _errors;
    private string? _firstError;

    public TimeSpan Elapsed { get; set; }

    public int Answers => _answers;

    public int Errors => _errors;

    public string? FirstError => _firstError;

    public void AddAnswer(TimeSpan latency, TimeSpan? firstToken)
    {
        var at = Interlocked.Increment(ref _answers) - 1;
        _latencies[at] = latency.Ticks;
        _firstTokens[at] = (firstToken ?? latency).Ticks;
    }

    public void AddError(string problem)
    {
        Interlocked.Increment(ref _errors);
        Interlocked.CompareExchange(ref _firstError, problem, null);
    }

    public Percentiles Latency() => Percentiles.Of(_latencies.AsSpan(0, _answers));

    public Percentiles FirstToken() => Percentiles.Of(_firstTokens.AsSpan(0, _answers));
}

/// <summary>Nearest-rank percentiles, in milliseconds.</summary>
internal sealed record Percentiles(double P50, double P95, double P99)
{
    public static Percentiles Of(Span<long> ticks)
    {
        if (ticks.IsEmpty)
            return new Percentiles(double.NaN, double.NaN, double.NaN);
        ticks.Sort();
        return new Percentiles(At(ticks, 0.50), At(ticks, 0.95), At(ticks, 0.99));
    }

    private static double At(ReadOnlySpan<long> sorted, double share) =>
        TimeSpan.FromTicks(sorted[Math.Max(0, (int)Math.Ceiling(sorted.Length * share) - 1)]).TotalMilliseconds;
}
