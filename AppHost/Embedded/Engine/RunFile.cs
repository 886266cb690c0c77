using System.Text.Json;
using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Embedded;

/// <summary>
/// <c>run.json</c>: how other programs of this machine (the evaluator's command line, a test client) find the running system.
/// It exists only while everything was healthy once and the AppHost lives, and only this user can read it.
/// </summary>
internal static class RunFile
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static void Write(EmbeddedApplicationBuilder application, IReadOnlyList<Instance> instances, string? developmentKey) =>
        DataFolder.WritePrivate(application.Data.RunFile, JsonSerializer.Serialize(
            new
            {
                StartedAt = application.Options.Time.GetUtcNow(),
                ApphostPid = Environment.ProcessId,
                Engine = "embedded",
                Resources = instances.Select(i => new
                {
                    i.Resource.Name,
                    i.Replica,
                    i.State,
                    i.Pid,
                    Urls = i.Resource.Endpoints.Select(e => e.Url(i.Replica)),
                }),
                Api = AddressOf("api", instances),
                Evaluator = AddressOf("evaluator", instances),
                DevelopmentKey = developmentKey,
            }, Format));

    public static string? AddressOf(string name, IReadOnlyList<Instance> instances) => instances
        .FirstOrDefault(i => i.Resource.Name == name)?.Resource.Endpoints.FirstOrDefault()?.Url(0);
}
