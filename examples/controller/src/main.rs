//! Runs the controller against the API that KUBECONFIG names, such as that of `loopline api`.

#[tokio::main]
async fn main() -> kube::Result<()> {
    loopline_example_controller::run(kube::Client::try_default().await?).await;
    Ok(())
}
