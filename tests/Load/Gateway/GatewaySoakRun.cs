using System.Globalization;
using System.Text;
using Aspire.Hosting;
using Aspire.Hosting.Testing;
using Npgsql;

namespace AiAspire.Load.Gateway;

/// <summary>What one process and the database hold at a moment.</summary>
/// <param name="At">Seconds since the start of the load.</param>
/// <param name="ResidentMiB">Resident memory of the Api.</param>
/// <param name="HeapMiB">Its managed heap after the last collection, by its own metrics.</param>
/// <param name="Handles">Its open files and sockets.</param>
/// <param name="Threads">Its threads.</param>
/// <param name="Connections">Open connections to PostgreSQL, of all processes.</param>
/// <param name="PerSecond">Answers a second since the sample before.</param>
internal sealed record SoakSample(double At, double ResidentMiB, double HeapMiB, int Handles, int Threads, int Connections, double PerSecond);

/// <summary>A steady load, half of it streams, and what grows meanwhile.</summary>
internal sealed class GatewaySoakRun(LoadApplication load, TimeSpan length, TimeProvider time, Action<string> say)
{
    private const int Callers = 8;

    /// <summary>So that the first third is not one of a process that still warms up.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private int _answers;
    private int _failures;

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        var app = load.App;
        var tenants = await GatewayTenants.CreateAsync(app, time, cancellationToken);
        foreach (var company in GatewayChaosRun.Companies)
            using (var client = app.CreateHttpClient(company))
                await ProviderFault.CalmAsync(client, cancellationToken);
        using var http = new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false, UseCookies = false });
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        say($"{Callers} callers for {length.TotalMinutes:0.#} minutes, after {WarmUp.TotalSeconds:0} s of warming up.");
        var loading = Task.WhenAll(Enumerable.Range(0, Callers).Select(number => LoadAsync(http, tenants, number, over.Token)));
        await Task.Delay(WarmUp, time, cancellationToken);
        await using var database = NpgsqlDataSource.Create(load.Superuser);
        using var metrics = app.CreateHttpClient("api");
        var samples = new List<SoakSample>();
        var (started, last, before) = (time.GetTimestamp(), time.GetTimestamp(), _answers);
        while (time.GetElapsedTime(started) < length)
        {
            await Task.Delay(Every, time, cancellationToken);
            var (now, answers) = (time.GetTimestamp(), Volatile.Read(ref _answers));
            samples.Add(await SampleAsync(
                app, metrics, database, time.GetElapsedTime(started, now).TotalSeconds, (answers - before) / time.GetElapsedTime(last, now).TotalSeconds, cancellationToken));
            (last, before) = (now, answers);
            say(samples[^1].ToString());
        }

        await over.CancelAsync();
        await loading;
        Console.WriteLine(ToMarkdown(samples));
        return _failures == 0 ? 0 : 1;
    }

    private async Task LoadAsync(HttpMessageInvoker http, GatewayTenants tenants, int number, CancellationToken over)
    {
        var random = new Random(number);
        var caller = new GatewayCaller(http, [load.App.GetEndpoint("api")], tenants.Credentials[number % tenants.Credentials.Count], time, random);
        try
        {
            for (var i = 0; !over.IsCancellationRequested; i++)
            {
                var id = Guid.CreateVersion7(time.GetUtcNow());
                var outcome = await caller.AskAsync(new Question(id, "sim-resilient", Stream: i % 2 == 0, $"{id} one two three four five six", HasKey: false, Leaving.Never), over);
                Interlocked.Increment(ref _answers);
                if (outcome.End != TryEnd.Whole)
                {
                    Interlocked.Increment(ref _failures);
                    say($"Not served: {outcome.Tries[^1]}");
                }

                await Task.Delay(Pause, time, over);
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // The run is over.
        }
    }

    private static async Task<SoakSample> SampleAsync(
        DistributedApplication app, HttpClient metrics, NpgsqlDataSource database, double at, double perSecond, CancellationToken cancellationToken)
    {
        var pid = app.GetResourceProcessId("api") ?? throw new InvalidOperationException("The Api is not running.");
        var heap = (await metrics.GetStringAsync("/metrics", cancellationToken)).Split('\n')
            .Where(l => l.StartsWith("dotnet_gc_last_collection_heap_size_bytes{", StringComparison.Ordinal)).Sum(l => double.Parse(l.Split(' ')[1], CultureInfo.InvariantCulture));
        await using var command = database.CreateCommand("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");
        var connections = (long)(await command.ExecuteScalarAsync(cancellationToken))!;
        return new SoakSample(
            at, Status(pid, "VmRSS") / 1024.0, heap / (1024 * 1024), Directory.GetFiles($"/proc/{pid}/fd").Length, (int)Status(pid, "Threads"), (int)connections, perSecond);
    }

    private static long Status(int pid, string field) => long.Parse(
        File.ReadLines($"/proc/{pid}/status").Single(l => l.StartsWith(field + ":", StringComparison.Ordinal))[(field.Length + 1)..].Replace("kB", "", StringComparison.Ordinal).Trim(),
        CultureInfo.InvariantCulture);

    private string ToMarkdown(List<SoakSample> samples)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"| {_answers} answers of {Callers} callers, {samples[^1].At / 60:0.#} minutes, {samples.Count} samples | first third | last third | growth an hour | least | most |");
        text.AppendLine("|---|--:|--:|--:|--:|--:|");
        Row("answers/s", s => s.PerSecond);
        Row("resident memory of the Api, MiB", s => s.ResidentMiB);
        Row("managed heap of the Api, MiB", s => s.HeapMiB);
        Row("open files and sockets of the Api", s => s.Handles);
        Row("threads of the Api", s => s.Threads);
        Row("connections to PostgreSQL", s => s.Connections);
        text.AppendLine();
        text.AppendLine(_failures == 0 ? "All were served." : $"**{_failures} were not served.**");
        return text.ToString();

        void Row(string what, Func<SoakSample, double> value)
        {
            var third = Math.Max(1, samples.Count / 3);
            text.AppendLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {what} | {samples.Take(third).Average(value):0.0} | {samples.TakeLast(third).Average(value):0.0} | {Slope(samples, value) * 3600:+0.0;-0.0;0} | {samples.Min(value):0.0} | {samples.Max(value):0.0} |"));
        }
    }

    /// <summary>Least squares, per second.</summary>
    private static double Slope(List<SoakSample> samples, Func<SoakSample, double> value)
    {
        var (meanAt, mean) = (samples.Average(s => s.At), samples.Average(value));
        var spread = samples.Sum(s => (s.At - meanAt) * (s.At - meanAt));
        return spread == 0 ? 0 : samples.Sum(s => (s.At - meanAt) * (value(s) - mean)) / spread;
    }
}
