using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;

namespace AiAspire.Integration.Jobs;

/// <summary>What the tests of the queue do with it.</summary>
internal static class JobClient
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public static async Task<JsonElement> QueueAsync(this HttpClient client, object job)
    {
        using var accepted = await client.PostAsJsonAsync("/v1/jobs", job, Cancelled);
        var text = await accepted.Content.ReadAsStringAsync(Cancelled);
        Assert.True(accepted.StatusCode == HttpStatusCode.Accepted, text);
        return JsonElement.Parse(text);
    }

    public static async Task<Guid> QueueChatAsync(this HttpClient client, string text, string model = "sim-large", bool stream = false)
        => (await client.QueueAsync(new { request = Wire.Chat(text, model, stream) })).GetProperty("id").GetGuid();

    public static Task<JsonElement> JobAsync(this HttpClient client, Guid id) => client.GetFromJsonAsync<JsonElement>($"/v1/jobs/{id}", Cancelled);

    public static string Status(this JsonElement job) => job.GetProperty("status").GetString()!;

    public static async Task<JsonElement> OverAsync(this HttpClient client, Guid id, RunningApplication application)
        => (JsonElement)await Wait.ForAsync(
            $"job {id} to be over",
            async () =>
            {
                var job = await client.JobAsync(id);
                return job.Status() is "succeeded" or "failed" or "cancelled" ? (object)job : null;
            },
            application,
            "workers");

    /// <summary>Waits until a worker has the job; returns its replica.</summary>
    public static async Task<int> ReplicaOfAsync(this RunningApplication application, Guid job)
    {
        await using var database = await application.OpenSuperuserAsync();
        var worker = await Wait.ForAsync(
            $"a worker to take job {job}",
            async () => (await database.ListAsync("SELECT worker FROM aiaspire.jobs WHERE job_id = $1 AND state = 'Running'", r => r.GetString(0), job)).SingleOrDefault(),
            application,
            "workers");
        var pid = int.Parse(worker[(worker.LastIndexOf(':') + 1)..], System.Globalization.CultureInfo.InvariantCulture);
        return Enumerable.Range(0, 2).Single(replica => application.App.GetResourceProcessId("workers", replica) == pid);
    }

    /// <summary>Makes a model behave so until it is disposed of.</summary>
    public static async Task<IAsyncDisposable> BehaveAsync(this RunningApplication application, string model, object behaviour)
    {
        var simulator = application.App.CreateHttpClient("sim-openai");
        using var response = await simulator.PutAsJsonAsync($"/control/models/{model}/behaviour", behaviour, Cancelled);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Cancelled));
        return new Behaviour(simulator, model);
    }

    private sealed class Behaviour(HttpClient simulator, string model) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            using var response = await simulator.DeleteAsync($"/control/models/{model}/behaviour");
            simulator.Dispose();
        }
    }
}
