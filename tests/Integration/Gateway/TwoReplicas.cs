using AiAspire.Load.Gateway;
using Aspire.Hosting;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Gateway;

/// <summary>
/// The whole system with two replicas of the Api, for tests that no other could bear beside it. Its spans go to a collector in this process: those of
/// requests that bring a sampled trace along, and no others.
/// </summary>
public sealed class TwoReplicas : IAsyncLifetime
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromMinutes(3);

    private readonly OtlpReceiver _collector = new();
    private readonly Dictionary<string, string> _environment;
    private DistributedApplication? _app;

    public TwoReplicas() => _environment = new(StringComparer.Ordinal)
    {
        ["OTEL_EXPORTER_OTLP_ENDPOINT"] = _collector.Address.ToString(),
        ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf",
        ["OTEL_TRACES_SAMPLER"] = "parentbased_always_off",
        ["OTEL_BSP_SCHEDULE_DELAY"] = "500",
    };

    internal OtlpReceiver Collector => _collector;

    public DistributedApplication App => _app ?? throw new InvalidOperationException("The application has not started.");

    public async ValueTask InitializeAsync()
    {
        // The processes inherit it, those that are started again later too.
        foreach (var (name, value) in _environment)
            Environment.SetEnvironmentVariable(name, value);
        using var timeout = new CancellationTokenSource(StartTimeout);
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(GatewayChaosOptions.Settings, timeout.Token);
        _app = await builder.BuildAsync(timeout.Token);
        await _app.StartAsync(timeout.Token);
        foreach (var resource in new[] { "api", "workers" })
            await _app.ResourceNotifications.WaitForResourceHealthyAsync(resource, timeout.Token);
    }

    public async ValueTask DisposeAsync()
    {
        if (_app is not null)
            await _app.DisposeAsync();
        foreach (var name in _environment.Keys)
            Environment.SetEnvironmentVariable(name, null);
        await _collector.DisposeAsync();
    }
}
